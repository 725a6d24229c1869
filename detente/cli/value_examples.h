// SPDX-License-Identifier: Apache-2.0
// What the page of values (valuation/value_page.h) shows of training examples. Needs no LibTorch.
#pragma once

#include <detente/data/source.h>
#include <detente/data/targets.h>
#include <detente/valuation/value_page.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::cli {

inline constexpr std::size_t kLongestPicture = 192;  // pixels
inline constexpr double kLongestSound = 10;          // seconds
inline constexpr std::size_t kLongestText = 600;     // bytes of a cell, whole characters
inline constexpr std::size_t kMostCells = 24;        // of an example

// Examples of training rows that were read: their places, pictures no larger and sounds no longer
// than these, the columns that are shown and, behind them, targets under the names of their tasks.
// A recording that cannot be read again is a cell that says why. For ValuePageInput::show; throws
// kInvalidArgument for an id that is no row.
class ValueExamples {
 public:
  ValueExamples(const data::Source& train, std::span<const data::TargetColumn> tasks);
  valuation::ShownExample operator()(std::int64_t id) const;

 private:
  const data::Source& train_;
  std::vector<data::ShownColumn> columns_;
  std::vector<valuation::TaskLabels> labels_;
};

// The labels of each task by its rows: classes by their names where they have any, numbers as they
// are, of several numbers or labels the words that apply or all numbers. "" where a row has none.
// Tasks with maps are left out.
std::vector<valuation::TaskLabels> given_labels(const data::Source& train,
                                                std::span<const data::TargetColumn> tasks);

// Of each row the name of its source, for ValuePageInput::sources; empty where there is only one.
std::vector<std::string> value_sources(const data::Source& train);

// The examples of `ids` that values are of, by their rows: kInvalidArgument naming one that `train`
// lacks.
void demand_rows(const data::Source& train, std::span<const std::int64_t> ids);

}  // namespace detente::cli
