// SPDX-License-Identifier: Apache-2.0
// Rows of a table with numbers, dates and categories (data/table_column.h) as a source. Fitted: the
// input columns with their scales and categories.
//
// Arrays of a batch, B rows each: "numbers" [B, columns] float, standardised, 0 where missing;
// "missing" [B, columns that mark it] uint8; "categories" [B, columns] int32. Those without columns
// are left out.
#pragma once

#include <detente/data/source.h>
#include <detente/data/table_column.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::data {

class TableSource final : public Source {
 public:
  const char* kind() const override { return "table"; }
  void describe(FieldVisitor& data) override;
  bool takes_sources() const override { return true; }
  bool reads_records() const override { return true; }
  void leave_out(const std::vector<std::string>& columns) override;
  std::vector<std::string> named_inputs() const override { return inputs_; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return costs_.size(); }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;  // columns.json
  void load(const std::filesystem::path& run) override;
  // Every column of the file but those taken.
  std::vector<ShownColumn> shown() const override;

  std::vector<InputColumn> input_columns() const override;
  // The fitted columns.
  std::vector<std::string> exchangeable() const override;
  void exchange(std::size_t input, const Batch& others, Batch& batch) const override;

  const std::vector<TableColumn>& columns() const { return columns_; }
  std::size_t number_columns() const;
  std::size_t missing_columns() const;
  // Categories with the unknown one, per category column.
  std::vector<std::size_t> category_counts() const;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  std::vector<std::string> input_names(const Table& table,
                                       const std::vector<TargetColumn>& targets) const;
  void fit(const Table& table, const std::vector<TargetColumn>& targets);
  void encode(const Table& table);

  std::vector<std::string> inputs_;  // empty: every column that is no target and not ignored
  std::vector<std::string> ignore_;
  std::vector<std::string> categories_;
  ColumnOptions options_;

  std::vector<TableColumn> columns_;
  std::vector<std::string> left_out_;  // inputs that say nothing
  std::vector<float> numbers_;         // rows × number_columns
  std::vector<std::uint8_t> missing_;  // rows × missing_columns
  std::vector<std::int32_t> ids_;      // rows × category columns
  std::vector<std::size_t> costs_;     // all 1
  std::optional<Table> table_;         // for shown
};

}  // namespace detente::data
