// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/ranking.h>
#include <detente/valuation/detection.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::valuation {
namespace {

// With the flags of examples without a value taken away, as the metrics leave such rows out.
metrics::Score score_known(metrics::Score (*metric)(metrics::Values, metrics::Values),
                           std::vector<double> predictions,
                           std::span<const double> values,
                           std::span<const double> bad) {
  DETENTE_CHECK(values.size() == bad.size(),
                ErrorCode::kShape,
                "[valuation::detection] there are {} values and {} flags; expected one of each for "
                "every example",
                values.size(),
                bad.size());
  std::vector<double> flags(bad.begin(), bad.end());
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (!std::isnan(values[i]) || std::isnan(flags[i])) continue;
    predictions[i] = 0.0;
    flags[i] = std::numeric_limits<double>::quiet_NaN();
    ++unknown;
  }
  metrics::Score score = metric(predictions, flags);
  if (unknown > 0) score.note = fmt::format("{} examples have no value", unknown);
  return score;
}

metrics::Score f1(metrics::Values predictions, metrics::Values targets) {
  return metrics::f1(predictions, targets);
}

}  // namespace

metrics::Score detection_auroc(std::span<const double> values, std::span<const double> bad) {
  std::vector<double> badness;
  for (const double value : values) badness.push_back(-value);
  return score_known(&metrics::auroc, std::move(badness), values, bad);
}

metrics::Score detection_f1(std::span<const double> values, std::span<const double> bad) {
  const std::vector<bool> low = low_cluster(values);
  return score_known(&f1, {low.begin(), low.end()}, values, bad);
}

std::vector<bool> low_cluster(std::span<const double> values) {
  std::vector<double> sorted;
  for (const double value : values) {
    DETENTE_CHECK(!std::isinf(value),
                  ErrorCode::kNumeric,
                  "[valuation::low_cluster] a value is {}; expected finite ones, or NaN",
                  value);
    if (!std::isnan(value)) sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  // Less the mean, so that sums keep their digits. All then sum to 0, and the squared distance of
  // two parts' means, weighted by their sizes, is what parting them takes off the sum of squares.
  double mean = 0.0;
  for (const double value : sorted) mean += value / n;
  double sum = 0.0;
  double best = 0.0;
  double boundary = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    sum += sorted[i - 1] - mean;
    if (sorted[i] == sorted[i - 1]) continue;
    const auto left = static_cast<double>(i);
    const double gain = sum * sum * n / left / (n - left);
    if (gain > best) {
      best = gain;
      boundary = sorted[i - 1];
    }
  }
  std::vector<bool> low;
  for (const double value : values) low.push_back(value <= boundary);
  return low;
}

}  // namespace detente::valuation
