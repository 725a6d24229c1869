// SPDX-License-Identifier: Apache-2.0
// A linear program over a simplex: maximise cᵀx subject to Ax >= 0, x >= 0, tᵀx = 1, where t > 0.
// (A bound other than 0 moves into A: (Ax)_i >= b_i is ((A − b tᵀ)x)_i >= 0.)
//
// Dense dual simplex method with Bland's rule. The best corner is feasible for the dual from the
// start, so there is no first phase, and no answer is unbounded. The answer is recomputed from its
// basis, so that it does not carry the rounding errors of the way there.
#pragma once

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class SimplexProgram {
 public:
  // `c` has n >= 1 entries, `a` m rows of n, `t` n entries or none (all 1). False when no x
  // satisfies the rows (or, past the limit of pivots, none was found); x() is then of no use.
  // Solutions depend neither on the scale of c nor on that of a row.
  bool solve(const std::vector<double>& c,
             const std::vector<double>& a,
             const std::vector<double>& t = {});

  const std::vector<double>& x() const { return x_; }
  // One per row, >= 0: max_j (c + Aᵀy)_j / t_j is an upper bound of cᵀx, attained at the solution.
  const std::vector<double>& multipliers() const { return y_; }
  int pivots() const { return pivots_; }

  // The larger of the violation of a row and the duality gap, each relative to the terms that form
  // it.
  double certificate() const;

  // Makes room for so many variables and rows.
  void reserve(std::size_t variables, std::size_t rows);

 private:
  double& at(std::size_t row, std::size_t column) { return table_[row * width_ + column]; }
  void scale(const std::vector<double>& c,
             const std::vector<double>& a,
             const std::vector<double>& t);
  void start(std::size_t corner);
  void restart();
  std::size_t best_corner() const;
  std::size_t leaving() const;
  std::size_t entering(std::size_t row) const;
  void pivot(std::size_t row, std::size_t column);
  void read();

  std::size_t n_ = 0, m_ = 0, width_ = 0;
  std::vector<double> c_, a_, t_;  // scaled
  std::vector<double> row_scale_;  // that the rows were divided by
  double c_scale_ = 1;
  // Each row is a basic variable as an affine function of the others: value, then coefficients; the
  // last row is the objective. Variables: x_j is j, the slack of row i is n + i.
  std::vector<double> table_;
  std::vector<std::size_t> basic_, others_;
  std::vector<char> wanted_;  // scratch: the basis to return to
  std::vector<double> x_, y_;
  int pivots_ = 0;
};

}  // namespace detente::balance::internal
