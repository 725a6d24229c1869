// SPDX-License-Identifier: Apache-2.0
// What a table of values says of a task, a pair of tasks or a modality as a whole.
#pragma once

#include <detente/valuation/value_table.h>

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace detente::valuation {

// The names that occur, in the order of the series. "all" is one of them where it occurs.
std::vector<std::string> tasks_trained(const ValueTable& table);
std::vector<std::string> tasks_judged(const ValueTable& table);
std::vector<std::string> modalities(const ValueTable& table);

// Those that are told apart, where they are 2 to 6 and can be looked at one by one; else none: of layers there
// may be a hundred.
std::vector<std::string> few_modalities(const ValueTable& table);

// Whether every series has a value for each id, and as many standard errors and counts or none.
// Throws kShape naming the series.
void check_table(const ValueTable& table);

// What the examples are worth to `judged`, as far as `trained` and `modality` go. With kAll for one
// of these: the series that does not tell it apart, or where there is none the sum over those that
// do. A sum is over the values that are known (NaN: none is), and its standard error is the sum of
// theirs, which it cannot exceed however they depend on each other. Nothing where the table has no
// such series.
std::optional<ValueSeries> joined_series(const ValueTable& table,
                                         const std::string& judged,
                                         const std::string& trained = kAll,
                                         const std::string& modality = kAll);

struct ValueSummary {
  std::size_t known = 0;  // values that are finite; what follows is of them
  double sum = 0;
  double mean = std::numeric_limits<double>::quiet_NaN();
  std::size_t below_zero = 0;
  bool has_errors = false;  // whether any standard error is known
  std::size_t helpful = 0;
  std::size_t harmful = 0;
  std::size_t undecided = 0;

  // Harmful by the verdict, or where no standard error is known below zero; NaN of none.
  double harmful_share() const;
};
ValueSummary summarize(const ValueSeries& series);

// The verdict on each value, as verdict() gives it.
std::vector<Verdict> verdicts(const ValueSeries& series);

}  // namespace detente::valuation
