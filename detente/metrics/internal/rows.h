// SPDX-License-Identifier: Apache-2.0
// What the metrics have in common: the rows that count, and what to say where a score is none.
#pragma once

#include <detente/metrics/metrics.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::metrics::internal {

// The rows that have a target.
struct Rows {
  std::vector<double> predictions;
  std::vector<double> targets;
  std::string reason;  // why no metric can be computed

  std::size_t size() const { return targets.size(); }
};

// Throws kShape, naming the metric, when the sizes differ.
Rows take_rows(const char* name, Values predictions, Values targets);

Score undefined(const Rows& rows, std::string reason);
Score defined(const Rows& rows, double value);

// Two passes: the second takes back what rounding of the first left over. At least one value.
double mean(const std::vector<double>& values);

}  // namespace detente::metrics::internal
