// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/calibration.h>
#include <detente/metrics/internal/rows.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace detente::metrics {

Score expected_calibration_error(Values probabilities, Values targets, std::size_t bins) {
  DETENTE_CHECK(bins > 0,
                ErrorCode::kInvalidArgument,
                "[metrics::expected_calibration_error] there must be at least one bin; got 0.");
  const internal::Rows rows =
      internal::take_rows("expected_calibration_error", probabilities, targets);
  if (!rows.reason.empty()) return internal::undefined(rows, rows.reason);
  std::vector<double> surplus(bins, 0.0);  // Σ (probability − target) of a bin
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double p = rows.predictions[i];
    if (p < 0.0 || p > 1.0) return internal::undefined(rows, "a prediction is no probability");
    const double place = std::ceil(p * static_cast<double>(bins)) - 1.0;
    const auto bin = static_cast<std::size_t>(std::max(place, 0.0));
    surplus[std::min(bin, bins - 1)] += p - rows.targets[i];
  }
  double sum = 0.0;
  for (const double value : surplus) sum += std::abs(value);
  return internal::defined(rows, sum / static_cast<double>(rows.size()));
}

}  // namespace detente::metrics
