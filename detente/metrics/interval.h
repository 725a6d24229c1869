// SPDX-License-Identifier: Apache-2.0
// How far a score may be off by the luck of the rows.
#pragma once

#include <detente/metrics/metrics.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace detente::metrics {

struct Interval {
  double low;
  double high;
  std::size_t undefined = 0;  // bootstrap: resamples in which the metric was undefined
};

// Fisher's z: tanh(atanh(r) ± q / √(n - 3)). NaN on both ends when n <= 3 or r is not in [-1, 1].
Interval fisher_interval(double r, std::size_t n, double level = 0.95);

// Percentile bootstrap over rows that have a target: rows drawn with replacement `resamples` times.
// NaN on both ends when the metric is undefined in every resample.
Interval bootstrap_interval(const std::function<Score(Values, Values)>& metric,
                            Values predictions,
                            Values targets,
                            std::uint64_t seed,
                            std::size_t resamples = 1000,
                            double level = 0.95);

// x with P(Z <= x) = p for a standard normal Z; 0 < p < 1.
double normal_quantile(double p);

}  // namespace detente::metrics
