// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/metrics/student_t.h>

#include <cmath>
#include <limits>

namespace detente::metrics {
namespace {

// The continued fraction of I_x(a, b) (Abramowitz and Stegun 26.5.8) by Lentz's method; converges fast
// for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny =
      std::numeric_limits<double>::min() / std::numeric_limits<double>::epsilon();
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double value = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    value *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    const double factor = d * c;
    value *= factor;
    if (std::abs(factor - 1) <= std::numeric_limits<double>::epsilon()) break;
  }
  return value;
}

void check_freedom(const char* name, double freedom) {
  DETENTE_CHECK(freedom > 0,
                ErrorCode::kInvalidArgument,
                "[metrics::{}] degrees of freedom must be above 0, got {}.",
                name,
                number_text(freedom));
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  DETENTE_CHECK(a > 0 && b > 0 && x >= 0 && x <= 1,
                ErrorCode::kInvalidArgument,
                "[metrics::incomplete_beta] expected a, b > 0 and x in [0, 1], got {}, {}, {}.",
                number_text(a),
                number_text(b),
                number_text(x));
  if (x == 0 || x == 1) return x;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_t_two_sided(double t, double freedom) {
  check_freedom("student_t_two_sided", freedom);
  if (std::isnan(t)) return t;
  if (std::isinf(t)) return 0;
  return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

double student_t_cdf(double t, double freedom) {
  const double tail = student_t_two_sided(t, freedom) / 2;
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double p, double freedom) {
  check_freedom("student_t_quantile", freedom);
  DETENTE_CHECK(p > 0 && p < 1,
                ErrorCode::kInvalidArgument,
                "[metrics::student_t_quantile] p must be in (0, 1), got {}.",
                number_text(p));
  if (p == 0.5) return 0;
  // The upper tail falls from 1/2: a bracket by doubling, then halves, to the last digit.
  const double tail = p < 0.5 ? p : 1 - p;
  double low = 0;
  double high = 1;
  while (student_t_two_sided(high, freedom) / 2 > tail) {
    low = high;
    high *= 2;
  }
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (student_t_two_sided(middle, freedom) / 2 > tail ? low : high) = middle;
  }
  return p < 0.5 ? -high : high;
}

}  // namespace detente::metrics
