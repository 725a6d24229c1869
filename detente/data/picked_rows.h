// SPDX-License-Identifier: Apache-2.0
// Some rows of a source that has been read, the values of one input perhaps taken from other rows: what
// an input is worth is what is lost when it is exchanged (train/importance.h). Cannot read, save or
// load; the source must outlive it. Random changes are those of the source's rows.
#pragma once

#include <detente/data/source.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::data {

class PickedRows final : public Source {
 public:
  PickedRows(const Source& of, std::vector<std::size_t> rows);
  // `from`: for each of the rows, the row of `of` that input number `input` (Source::exchangeable)
  // comes from.
  void exchange(std::size_t input, std::vector<std::size_t> from);

  const char* kind() const override { return of_.kind(); }
  void describe(FieldVisitor&) override {}
  std::unique_ptr<Source> fresh() const override { return of_.fresh(); }
  std::size_t size() const override { return rows_.size(); }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;
  void load(const std::filesystem::path& run) override;
  std::vector<ShownColumn> shown() const override;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  const Source& of_;
  std::vector<std::size_t> rows_;
  std::vector<std::size_t> costs_;
  std::size_t input_ = 0;
  std::vector<std::size_t> from_;  // empty: nothing is exchanged
};

}  // namespace detente::data
