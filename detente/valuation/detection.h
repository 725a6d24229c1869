// SPDX-License-Identifier: Apache-2.0
// How well values find examples that are known to be bad (flipped labels, noise put in on purpose):
// the benchmarks' two numbers. Examples whose value or flag is NaN are left out; Score::rows and
// Score::note say how many.
#pragma once

#include <detente/metrics/metrics.h>

#include <cstddef>
#include <span>
#include <vector>

namespace detente::valuation {

// P(a bad example's value < a good one's) + P(equal) / 2; `bad` is 1 or 0 for each example. The
// scores are undefined, saying which is absent, without a bad or a good one. Throws kShape.
metrics::Score detection_auroc(std::span<const double> values, std::span<const double> bad);

// F1 of calling bad what lies in the lower of the values' two clusters (OpenDataVal's measure).
// Undefined without a bad example.
metrics::Score detection_f1(std::span<const double> values, std::span<const double> bad);

// Which values lie in the lower of the two clusters that have the least sum of squared distances
// from their means; the exact optimum, by sorting. Equal values are never parted: none is low where
// all are equal. NaN is not low; throws kNumeric for infinite values.
std::vector<bool> low_cluster(std::span<const double> values);

}  // namespace detente::valuation
