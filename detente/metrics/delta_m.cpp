// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/metrics/delta_m.h>

#include <cmath>
#include <cstddef>

namespace detente::metrics {
namespace {

// In percent of the baseline, below 0 is better. A baseline below 0 (a correlation, R²) keeps the sign
// of the difference.
double change_of(const ComparedMetric& metric) {
  if (metric.baseline == 0) return kNan;
  const double change = 100 * (metric.value - metric.baseline) / std::abs(metric.baseline);
  return metric.higher_is_better ? -change : change;
}

}  // namespace

double delta_m_metric(std::span<const std::vector<ComparedMetric>> tasks) {
  double sum = 0;
  std::size_t count = 0;
  for (const auto& metrics : tasks) {
    for (const auto& metric : metrics) sum += change_of(metric);
    count += metrics.size();
  }
  return count == 0 ? kNan : sum / static_cast<double>(count);
}

double delta_m_task(std::span<const std::vector<ComparedMetric>> tasks) {
  double sum = 0;
  std::size_t count = 0;
  for (const auto& metrics : tasks) {
    if (metrics.empty()) continue;
    double own = 0;
    for (const auto& metric : metrics) own += change_of(metric);
    sum += own / static_cast<double>(metrics.size());
    ++count;
  }
  return count == 0 ? kNan : sum / static_cast<double>(count);
}

}  // namespace detente::metrics
