// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/equal_angle.h>

#include <cmath>

namespace detente::balance::internal {

void EqualAngle::solve(const UnitGram& unit) {
  const auto m = static_cast<Eigen::Index>(unit.size());
  const Eigen::MatrixXd cosine = Eigen::Map<const Eigen::MatrixXd>(unit.cosine.data(), m, m);
  eigen_.assign(cosine);
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(m);
  const Eigen::VectorXd y = eigen_.pseudo_solve(ones);
  const Eigen::VectorXd reached = cosine * y;  // 1 for every task when the rows are independent
  const Eigen::Map<const Eigen::VectorXd> norms(unit.norm.data(), m);
  const double total = y.sum();  // 1ᵀC⁺1 >= 0
  a_.resize(unit.size());
  sum_ = 0;
  equal_ = (reached - ones).cwiseAbs().maxCoeff() <= 1e-6;
  for (std::size_t i = 0; i < unit.size(); ++i) {
    a_[i] = y[static_cast<Eigen::Index>(i)] / unit.norm[i];
    sum_ += a_[i];
  }
  // The all-ones vector may lie outside the range of C (opposite gradients): no angle is equal.
  const bool vanishes = total <= 1e-12 * y.cwiseAbs().sum() || !(total > 0);
  length_ = vanishes ? 0.0 : norms.dot(reached) / total;
}

}  // namespace detente::balance::internal
