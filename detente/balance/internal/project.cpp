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

  // h has done its work and holds the lengths of the terms.
  for (std::size_t i = 0; i < m; ++i) h_[i] = unit.norm[i] * u[i];
  inner_.resize(m);
  size_.resize(m);
  multiply_with_sizes(m, unit.cosine.data(), h_.data(), inner_.data(), size_.data());
  double worst = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const double wrong = projector_.beta()[i] > 0 ? std::abs(inner_[i]) : -inner_[i];
    if (wrong > 0) worst = std::max(worst, wrong / size_[i]);
  }
  return worst;
}

std::size_t DualConeProjection::active() const {
  const auto& beta = projector_.beta();
  return static_cast<std::size_t>(
      std::count_if(beta.begin(), beta.end(), [](double b) { return b > 0; }));
}

}  // namespace detente::balance::internal
