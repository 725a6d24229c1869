// SPDX-License-Identifier: Apache-2.0
// How well scores put positives before negatives, whatever the scores' scale: both stay the same under
// any strictly increasing transformation of the predictions. Targets are 0 or 1. Cost: a sort.
#pragma once

#include <detente/metrics/metrics.h>

#include <vector>

namespace detente::metrics {

// From 1 on; equal values share their average rank. None is NaN.
std::vector<double> average_ranks(const std::vector<double>& values);

// Area under the ROC curve: P(score of a positive > score of a negative) + P(equal) / 2 over pairs of
// rows. Undefined, saying which is absent, without a positive or without a negative.
Score auroc(Values predictions, Values targets);

// Σ_n (R_n − R_{n−1}) P_n over the different scores from the largest down, with the precision P_n and
// the recall R_n of "at least this score": rows of one score come together, and there is no
// interpolation. Without skill it is near the share of positives. Undefined without a positive.
Score average_precision(Values predictions, Values targets);

}  // namespace detente::metrics
