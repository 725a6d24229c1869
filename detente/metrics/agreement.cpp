// SPDX-License-Identifier: Apache-2.0
#include <detente/metrics/agreement.h>
#include <detente/metrics/internal/rows.h>

namespace detente::metrics {

Score quadratic_kappa(Values predictions, Values targets) {
  const internal::Rows rows = internal::take_rows("quadratic_kappa", predictions, targets);
  if (!rows.reason.empty()) return internal::undefined(rows, rows.reason);
  // The mean of (p_i − t_j)² over all pairs is both variances and the squared difference of the means; what
  // the mean of (p_i − t_i)² falls short of it by is twice the covariance.
  const double mean_p = internal::mean(rows.predictions);
  const double mean_t = internal::mean(rows.targets);
  double covariance = 0.0;
  double by_chance = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double p = rows.predictions[i] - mean_p;
    const double t = rows.targets[i] - mean_t;
    covariance += p * t;
    by_chance += p * p + t * t + (mean_p - mean_t) * (mean_p - mean_t);
  }
  if (by_chance == 0.0) {
    return internal::undefined(rows, "all predictions and targets are one class");
  }
  return internal::defined(rows, 2.0 * covariance / by_chance);
}

}  // namespace detente::metrics
