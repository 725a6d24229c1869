// SPDX-License-Identifier: Apache-2.0
// What methods say about n examples (the players of a game) for one thing that is judged.
#pragma once

#include <detente/valuation/value_table.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace detente::valuation {

struct Estimate {
  std::vector<double> values;           // n; NaN: unknown
  std::vector<double> standard_errors;  // n; NaN: unknown, as with fewer than two measurements
  std::vector<std::int64_t> counts;     // n; measurements behind each value
};

// Told what is done of how much; false ends the work early, and what was measured until then
// counts.
using Progress = std::function<bool(std::size_t done, std::size_t total)>;

// The table's series of an estimate.
inline ValueSeries series_of(Estimate estimate,
                             std::string task_trained,
                             std::string task_judged,
                             std::string modality = kAll) {
  return {std::move(task_trained),
          std::move(task_judged),
          std::move(modality),
          std::move(estimate.values),
          std::move(estimate.standard_errors),
          std::move(estimate.counts)};
}

}  // namespace detente::valuation
