// SPDX-License-Identifier: Apache-2.0
// Eigenvectors of a small symmetric positive semidefinite matrix, with a numerical rank.
#pragma once

#include <Eigen/Eigenvalues>

namespace detente::balance::internal {

class EigenGram {
 public:
  // Ascending eigenvalues; those below k·ε·λ_max count as zero.
  void assign(const Eigen::MatrixXd& matrix);

  Eigen::Index size() const { return solver_.eigenvalues().size(); }
  Eigen::Index rank() const { return rank_; }
  bool nonzero(Eigen::Index i) const { return i >= size() - rank_; }
  double value(Eigen::Index i) const { return solver_.eigenvalues()[i]; }
  auto vector(Eigen::Index i) const { return solver_.eigenvectors().col(i); }

  // The pseudo-inverse times x.
  Eigen::VectorXd pseudo_solve(const Eigen::VectorXd& x) const;

 private:
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver_;
  Eigen::Index rank_ = 0;
};

}  // namespace detente::balance::internal
