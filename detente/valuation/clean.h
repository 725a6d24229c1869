// SPDX-License-Identifier: Apache-2.0
// Which examples to leave out, given what they are worth. Files are another folder's work
// (data/dropped_rows.h).
#pragma once

#include <detente/valuation/value_table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace detente::valuation {

// An example goes that meets every condition given; at least one of the last three is.
struct CleanRule {
  std::string judged = kAll;         // the task that its value is to
  std::string trained = kAll;        // as one trained for this task
  std::string modality = kAll;       // through this part of the network
  std::vector<std::string> spare{};  // tasks that it must not be worth anything to (value > 0)
  // The value is below the one that this share of the known values lie below: at most so many go,
  // and of values that are all alike none.
  std::optional<double> quantile{};
  std::optional<double> below{};  // the value is below this
  bool harmful = false;           // the verdict on it is harmful
};

struct Cleaning {
  std::vector<std::int64_t> ids;    // that go, ascending
  std::size_t known = 0;            // examples with a value
  std::optional<double> threshold;  // that the quantile came to
  // With `harmful`: whether any standard error is known. Without one nothing is judged harmful.
  bool has_errors = false;
};

// Values are those of joined_series. Examples without a finite value stay. Throws kInvalidArgument:
// no condition, a quantile outside (0, 1), a bound that is NaN, names that the table does not have
// (with the nearest), nothing left. kShape as check_table.
Cleaning choose_removed(const ValueTable& table, const CleanRule& rule);

// As many examples drawn from those that have a value for the rule (of a task, those with its label),
// ascending, for comparison: what removing so many does by itself. Throws kInvalidArgument for more than
// there are, or all, and as choose_removed for the rule's names.
std::vector<std::int64_t> random_removed(const ValueTable& table,
                                         const CleanRule& rule,
                                         std::size_t count,
                                         std::uint64_t seed);

}  // namespace detente::valuation
