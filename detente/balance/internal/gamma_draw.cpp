// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/gamma_draw.h>

#include <cmath>

namespace detente::balance::internal {

double log_gamma_draw(double shape, Rng& rng) {
  // Gamma(shape) is Gamma(shape + 1) times U^(1/shape).
  double log_boost = 0;
  if (shape < 1) {
    log_boost = std::log1p(-rng.uniform()) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = rng.normal();
    const double root = 1.0 + c * x;
    const double u = 1.0 - rng.uniform();
    if (root <= 0) continue;
    const double log_v = 3.0 * std::log(root);
    const double v = root * root * root;
    if (std::log(u) < 0.5 * x * x + d * (1.0 - v + log_v)) return std::log(d) + log_v + log_boost;
  }
}

}  // namespace detente::balance::internal
