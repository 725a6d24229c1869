// SPDX-License-Identifier: Apache-2.0
// Whether probabilities mean what they say.
#pragma once

#include <detente/metrics/metrics.h>

#include <vector>

namespace detente::metrics {

inline constexpr std::size_t kCalibrationBins = 15;

// Expected calibration error: Σ_b n_b / n |mean probability − share of ones| over bins of equal width,
// bin b = ((b − 1) / bins, b / bins], a probability of 0 in the first (Guo et al., On Calibration of
// Modern Neural Networks, ICML 2017, with their 15 bins). Of a binary task the probability is that of 1
// and the target 0 or 1; of classes it is that of the class predicted, and the target whether it was
// right. Undefined for what is no probability, and as every metric. The value depends on the bins, and
// that of few rows is too large: compare runs on the same rows.
Score expected_calibration_error(Values probabilities,
                                 Values targets,
                                 std::size_t bins = kCalibrationBins);

// One of its bins.
struct CalibrationBin {
  std::size_t rows = 0;
  double probability = 0;  // the mean of those of its rows; 0 without rows
  double share = 0;        // of ones among its rows; 0 without rows
};

// What a reliability diagram shows: the bins from low to high probabilities, and the error above. No bins
// where that is undefined.
struct Calibration {
  std::vector<CalibrationBin> bins;
  Score error;
};
Calibration calibration(Values probabilities, Values targets, std::size_t bins = kCalibrationBins);

}  // namespace detente::metrics
