// SPDX-License-Identifier: Apache-2.0
// Arrays of numbers (data/array_file.h) as a source: an example is a row of the inputs' first dimension.
// In memory with four bytes a number. Fitted: the shape of an example, mean and deviation of each column
// or channel, the columns where a training example lacks a number.
//
// Arrays of a batch, by the inputs' dimensions (with layout: channels_first):
//
//   [n], [n, d]      "numbers" [B, d] float, 0 where missing, and where d lacked any "missing" [B,
//                    columns that did] uint8, as of tables
//   [n, c, t]        "series" [B, c, t] float
//   [n, c, h, w]     "image" [B, c, h, w] float
//   [n, c, t, h, w]  "clip" [B, c, t, h, w] float
//
// Each number is (value − mean) / deviation of the training examples' column or channel, at most
// kLargestStandardised in size; with `scale: stored` the file's. NaN is a missing number in the first
// form and an error in the others, infinity always.
//
// Columns for tasks: an array y of the same first dimension, [n] or [n, 1] as "y", [n, k] as "y.0" to
// "y.(k−1)". Rows count as lines from 1.
#pragma once

#include <detente/data/array_file.h>
#include <detente/data/source.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::data {

class ArraySource final : public Source {
 public:
  const char* kind() const override { return "arrays"; }
  void describe(FieldVisitor& data) override;
  bool own_parts() const override { return true; }
  std::vector<std::string> named_inputs() const override { return {inputs_, "example"}; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return costs_.size(); }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;  // arrays.json
  void load(const std::filesystem::path& run) override;
  // "example", its place in the file from 0 on, and the columns of tasks that were read.
  std::vector<ShownColumn> shown() const override;

  // Of an example as a network sees it: {d}, {c, t}, {c, h, w} or {c, t, h, w}.
  const std::vector<std::size_t>& sides() const { return fit_.sides; }
  // Per column or channel.
  const std::vector<double>& means() const { return fit_.means; }
  const std::vector<double>& deviations() const { return fit_.deviations; }
  // {d} alone: which columns have a mark where a number is missing; ascending.
  const std::vector<std::size_t>& marked() const { return fit_.marked; }

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  enum class Layout { kChannelsFirst, kChannelsLast, kNoChannels };
  enum class Scale { kStandard, kStored };
  struct Fit {
    std::vector<std::size_t> sides;
    std::vector<double> means;
    std::vector<double> deviations;
    std::vector<std::size_t> marked;
  };
  std::vector<std::size_t> sides_of(const std::vector<std::size_t>& shape,
                                    const std::string& label) const;
  void read_values(const NpyContent& content, const std::string& label, const RowList& rows);
  void fit_scale();
  std::size_t per_example() const;
  // Numbers that share a mean.
  std::size_t plane() const { return per_example() / fit_.sides.front(); }

  std::string inputs_ = "X";
  Layout layout_ = Layout::kChannelsFirst;
  Scale scale_ = Scale::kStandard;
  std::int64_t memory_ = 4096;  // MiB

  Fit fit_;
  std::vector<float> values_;       // size() x the example's, as in the file
  std::vector<std::size_t> costs_;  // all 1
  std::optional<Table> table_;
};

}  // namespace detente::data
