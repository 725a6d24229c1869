// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/calibration.h>
#include <detente/metrics/internal/rows.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace detente::metrics {

Score expected_calibration_error(Values probabilities, Values targets, std::size_t bins) {
  return calibration(probabilities, targets, bins).error;
}

Calibration calibration(Values probabilities, Values targets, std::size_t bins) {
  DETENTE_CHECK(bins > 0,
                ErrorCode::kInvalidArgument,
                "[metrics::expected_calibration_error] there must be at least one bin; got 0.");
  const internal::Rows rows =
      internal::take_rows("expected_calibration_error", probabilities, targets);
  if (!rows.reason.empty()) return {{}, internal::undefined(rows, rows.reason)};
  std::vector<CalibrationBin> out(bins);
  std::vector<double> surplus(bins, 0.0);  // Σ (probability − target) of a bin
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double p = rows.predictions[i];
    if (p < 0.0 || p > 1.0)
      return {{}, internal::undefined(rows, "a prediction is no probability")};
    const double place = std::ceil(p * static_cast<double>(bins)) - 1.0;
    const auto bin = std::min(static_cast<std::size_t>(std::max(place, 0.0)), bins - 1);
    surplus[bin] += p - rows.targets[i];
    ++out[bin].rows;
    out[bin].probability += p;
    out[bin].share += rows.targets[i];
  }
  double sum = 0.0;
  for (const double value : surplus) sum += std::abs(value);
  for (CalibrationBin& bin : out) {
    if (bin.rows == 0) continue;
    bin.probability /= static_cast<double>(bin.rows);
    bin.share /= static_cast<double>(bin.rows);
  }
  return {std::move(out), internal::defined(rows, sum / static_cast<double>(rows.size()))};
}

}  // namespace detente::metrics
