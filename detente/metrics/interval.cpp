// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/metrics/interval.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace detente::metrics {
namespace {

void check_level(const char* name, double level) {
  DETENTE_CHECK(level > 0.0 && level < 1.0,
                ErrorCode::kInvalidArgument,
                "[metrics::{}] level must be in (0, 1), got {}.",
                name,
                number_text(level));
}

// Linear between the order statistics, as NumPy's default.
double quantile(const std::vector<double>& sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = position - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

}  // namespace

double normal_quantile(double p) {
  check_level("normal_quantile", p);
  // Newton on the logarithm of the upper tail, which is concave: from a start right of the root
  // (the tail is at most exp(-x²/2)/2) it comes down without passing it.
  const bool lower = p < 0.5;
  const double tail = lower ? p : 1.0 - p;
  double x = std::sqrt(std::max(0.0, -2.0 * std::log(2.0 * tail)));
  for (int i = 0; i < 100; ++i) {
    const double q = 0.5 * std::erfc(x / std::sqrt(2.0));
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * M_PI);
    const double step = q / density * std::log(q / tail);
    x += step;
    if (std::abs(step) <= 1e-15 * std::max(1.0, x)) break;
  }
  return lower ? -x : x;
}

Interval fisher_interval(double r, std::size_t n, double level) {
  check_level("fisher_interval", level);
  if (n <= 3 || !(std::abs(r) <= 1.0)) return {kNan, kNan};
  const double half = normal_quantile(0.5 + 0.5 * level) / std::sqrt(static_cast<double>(n) - 3.0);
  const double z = std::atanh(r);
  return {std::tanh(z - half), std::tanh(z + half)};
}

Interval bootstrap_interval(const std::function<Score(Values, Values)>& metric,
                            Values predictions,
                            Values targets,
                            std::uint64_t seed,
                            std::size_t resamples,
                            double level) {
  check_level("bootstrap_interval", level);
  DETENTE_CHECK(predictions.size() == targets.size(),
                ErrorCode::kShape,
                "[metrics::bootstrap_interval] {} predictions for {} targets; expected as many of "
                "each.",
                predictions.size(),
                targets.size());
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!std::isnan(targets[i])) rows.push_back(i);
  }
  Interval interval{kNan, kNan};
  if (rows.empty()) {
    interval.undefined = resamples;
    return interval;
  }
  Rng rng(seed);
  std::vector<double> drawn_p(rows.size());
  std::vector<double> drawn_t(rows.size());
  std::vector<double> scores;
  for (std::size_t k = 0; k < resamples; ++k) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t row = rows[static_cast<std::size_t>(rng.below(rows.size()))];
      drawn_p[i] = predictions[row];
      drawn_t[i] = targets[row];
    }
    const Score score = metric(drawn_p, drawn_t);
    if (score.defined()) {
      scores.push_back(score.value);
    } else {
      ++interval.undefined;
    }
  }
  if (scores.empty()) return interval;
  std::sort(scores.begin(), scores.end());
  interval.low = quantile(scores, 0.5 - 0.5 * level);
  interval.high = quantile(scores, 0.5 + 0.5 * level);
  return interval;
}

}  // namespace detente::metrics
