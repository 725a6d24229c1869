// SPDX-License-Identifier: Apache-2.0
// The equation of the bargaining methods, Gα = α^(−1/a) (elementwise, α > 0, a > 0; a = 1 is Nash
// bargaining), by Newton's method on the convex function ½αᵀGα − Σψ(α_i), ψ'(x) = x^(−1/a).
//
// In x_i = δα_i/α_i the Newton system is (diag(α) G diag(α) + diag(s)/a) x = s − diag(α)Gα with
// s_i = α_i^(1−1/a): it does not depend on the scale of the rows and is never worse conditioned
// than its solution demands, so the last steps need no line search.
#pragma once

#include <detente/balance/internal/unit_gram.h>

#include <Eigen/Cholesky>
#include <vector>

namespace detente::balance::internal {

class FairNewton {
 public:
  // α for the rows of `unit` taken with their relative norms (largest norm 1); a solution exists
  // unless some convex combination of the rows vanishes. False when 200 steps did not find it;
  // alpha is then the last iterate.
  bool solve(const UnitGram& unit, double a, std::vector<double>& alpha);

  int steps() const { return steps_; }
  // max_i |(Gα)_i α_i^(1/a) − 1|, relative to the size of the terms that are summed.
  double residual() const { return residual_; }

 private:
  double objective(const UnitGram& unit, double a);

  Eigen::VectorXd beta_;  // α_i n_i
  Eigen::VectorXd s_, right_, x_, trial_, cosine_beta_, product_;
  Eigen::MatrixXd system_;
  Eigen::LLT<Eigen::MatrixXd> factor_;
  int steps_ = 0;
  double residual_ = 0;
};

}  // namespace detente::balance::internal
