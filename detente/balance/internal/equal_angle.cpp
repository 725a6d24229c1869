// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>
#include <detente/balance/internal/equal_angle.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
// y_ = C⁺1, and reached_ = Cy.
void EqualAngle::solve_ones(const UnitGram& unit) {
  const std::size_t m = unit.size();
  const auto reach = [&] {
    std::fill(reached_.begin(), reached_.end(), 0.0);
    for (std::size_t i = 0; i < m; ++i) {
      add_multiple(m, y_[i], &unit.cosine[i * m], reached_.data());
    }
  };
  reached_.resize(m);
  correction_.assign(m, 1.0);
  y_.assign(m, 1.0);
  factor_ = unit.cosine;
  eigen_.resize(m);
  if (factor_cholesky(m, factor_.data(), m, kDependent) > kDependent) {
    solve_cholesky(m, factor_.data(), m, y_.data());
    reach();
    for (std::size_t i = 0; i < m; ++i) correction_[i] -= reached_[i];
    solve_cholesky(m, factor_.data(), m, correction_.data());
    for (std::size_t i = 0; i < m; ++i) y_[i] += correction_[i];
  } else {
    eigen_.assign(unit.cosine.data(), m);
    eigen_.pseudo_solve(correction_.data(), y_.data());
  }
  reach();
}

void EqualAngle::solve(const UnitGram& unit) {
  const std::size_t m = unit.size();
  solve_ones(unit);
  a_.resize(m);
  sum_ = 0;
  equal_ = true;
  double total = 0;  // 1ᵀC⁺1 >= 0
  double size = 0;
  for (std::size_t i = 0; i < m; ++i) {
    // 1 for every task when the rows are independent.
    equal_ = equal_ && std::abs(reached_[i] - 1.0) <= 1e-6;
    a_[i] = y_[i] / unit.norm[i];
    sum_ += a_[i];
    total += y_[i];
    size += std::abs(y_[i]);
  }
  // The all-ones vector may lie outside the range of C (opposite gradients): no angle is equal.
  const bool vanishes = total <= 1e-12 * size || !(total > 0);
  length_ = vanishes ? 0.0 : dot(m, unit.norm.data(), reached_.data()) / total;
}

}  // namespace detente::balance::internal
