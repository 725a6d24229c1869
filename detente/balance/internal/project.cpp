// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/project.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {

double DualConeProjection::apply(const UnitGram& unit, std::vector<double>& u) {
  const std::size_t m = unit.size();
  h_.assign(m, 0.0);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < m; ++j) h_[i] -= unit.c(i, j) * unit.norm[j] * u[j];
  }
  // d = 0 satisfies every row, so some direction always does.
  projector_.solve(unit, h_, /*feasible=*/true);
  for (std::size_t i = 0; i < m; ++i) u[i] += projector_.beta()[i] / unit.norm[i];

  double worst = 0;
  for (std::size_t i = 0; i < m; ++i) {
    double inner = 0;
    double size = 0;
    for (std::size_t j = 0; j < m; ++j) {
      const double term = unit.c(i, j) * unit.norm[j] * u[j];
      inner += term;
      size += std::abs(term);
    }
    const double wrong = projector_.beta()[i] > 0 ? std::abs(inner) : -inner;
    if (wrong > 0) worst = std::max(worst, wrong / size);
  }
  return worst;
}

}  // namespace detente::balance::internal
