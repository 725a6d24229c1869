// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/eigen_gram.h>

#include <limits>

namespace detente::balance::internal {

void EigenGram::assign(const Eigen::MatrixXd& matrix) {
  solver_.compute(matrix);
  const auto& values = solver_.eigenvalues();
  const double cut = static_cast<double>(values.size()) * std::numeric_limits<double>::epsilon() *
                     values[values.size() - 1];
  rank_ = 0;
  for (Eigen::Index i = 0; i < values.size(); ++i) rank_ += values[i] > cut ? 1 : 0;
}

Eigen::VectorXd EigenGram::pseudo_solve(const Eigen::VectorXd& x) const {
  Eigen::VectorXd out = Eigen::VectorXd::Zero(x.size());
  for (Eigen::Index i = 0; i < size(); ++i) {
    if (nonzero(i)) out += vector(i).dot(x) / value(i) * vector(i);
  }
  return out;
}

}  // namespace detente::balance::internal
