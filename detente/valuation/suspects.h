// SPDX-License-Identifier: Apache-2.0
// The examples of a task whose labels are most likely wrong: those that are worth the least to the
// very task they were given a label for and, where it is known, whose label others disagree with.
#pragma once

#include <detente/valuation/value_table.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace detente::valuation {

// What is known of the labels of one task, for each example in the order of the table's ids.
struct TaskLabels {
  std::string task;
  std::vector<std::string> given;      // in words; "": the example has none
  std::vector<double> disagreement{};  // with the given label, such as 1 − its probability; NaN:
                                       // unknown; empty: of all
  bool are_classes = true;             // whether equal labels make a group; not of numbers
};

struct Suspect {
  std::int64_t id = 0;
  std::string task;
  std::string label;  // as given
  double value = 0;
  double disagreement = std::numeric_limits<double>::quiet_NaN();
  std::size_t rank = 0;  // within the task, from 1
};

// Of each task in `labels` at most `most` examples, the likeliest mistake first. Ranked by value,
// the lowest first; where disagreements are known, by the mean of that place and the place by
// disagreement, the largest first (an unknown one has the place in the middle). Equal places are
// shared; what is equal still goes by id. The value is what the example is worth to the task as one
// it is trained for, or, where trained tasks are not told apart, as a whole. Examples without a
// label or a finite value are left out, and so is a task that the table does not judge. A place is
// no probability: there is one of every rank, whether or not a label is wrong. Throws kShape where
// labels or disagreements are not as many as the ids; duplicate tasks kInvalidArgument.
std::vector<Suspect> suspects(const ValueTable& table,
                              const std::vector<TaskLabels>& labels,
                              std::size_t most);

// Columns id, task, label, value, disagreement, rank; RFC 4180, numbers that read back to the bit,
// nothing where unknown.
std::string suspects_csv(const std::vector<Suspect>& suspects);

}  // namespace detente::valuation
