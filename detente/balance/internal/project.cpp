// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>
#include <detente/balance/internal/project.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {

double DualConeProjection::apply(const UnitGram& unit, std::vector<double>& u) {
  const std::size_t m = unit.size();
  h_.assign(m, 0.0);
  for (std::size_t j = 0; j < m; ++j) {
    if (u[j] == 0.0) continue;
    add_multiple(m, -unit.norm[j] * u[j], &unit.cosine[j * m], h_.data());
  }
  // d = 0 satisfies every row, so some direction always does.
  projector_.solve(unit, h_, /*feasible=*/true);
  for (std::size_t i = 0; i < m; ++i) u[i] += projector_.beta()[i] / unit.norm[i];

  inner_.assign(m, 0.0);
  size_.assign(m, 0.0);
  for (std::size_t j = 0; j < m; ++j) {
    const double length = unit.norm[j] * u[j];
    if (length == 0.0) continue;
    const double* row = &unit.cosine[j * m];
    for (std::size_t i = 0; i < m; ++i) {
      const double term = row[i] * length;
      inner_[i] += term;
      size_[i] += std::abs(term);
    }
  }
  double worst = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const double wrong = projector_.beta()[i] > 0 ? std::abs(inner_[i]) : -inner_[i];
    if (wrong > 0) worst = std::max(worst, wrong / size_[i]);
  }
  return worst;
}

}  // namespace detente::balance::internal
