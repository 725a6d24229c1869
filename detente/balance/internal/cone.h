// SPDX-License-Identifier: Apache-2.0
// Projection onto a polyhedral cone or its translates, in Gram form: the least change of a
// direction that makes every inner product with the gradients large enough,
//   minimise ½‖Jᵀu‖² subject to J(d₀ + Jᵀu) >= m,
// solved by the dual active-set method of Goldfarb and Idnani (Math. Prog. 27, 1983), which keeps
// the active rows independent and meets rank-deficient Gram matrices without regularisation.
// Where the active rows are clearly independent, BlockPivots finds the same answer sooner.
#pragma once

#include <detente/balance/internal/block_pivots.h>
#include <detente/balance/internal/unit_gram.h>

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class ConeProjector {
 public:
  // So that solve() allocates nothing for up to m rows.
  void reserve(std::size_t m);

  // Rows in units of `unit`: finds β >= 0 with Cβ >= h on all rows, equality where β_i > 0
  // (u_i = β_i / norm_i). False when no direction satisfies all rows; beta() is then a proof: a
  // combination β >= 0, not all zero, with Cβ = 0 and βᵀh > 0. With `feasible` the caller knows
  // that some direction does, so a row that seems to contradict the others is rounding.
  bool solve(const UnitGram& unit, const std::vector<double>& h, bool feasible = false);

  const std::vector<double>& beta() const { return beta_; }
  int pivots() const { return pivots_; }

 private:
  bool solve_row_by_row(const UnitGram& unit, const std::vector<double>& h, bool feasible);
  double append_factor(const UnitGram& unit, std::size_t row);
  void remove(const UnitGram& unit, std::size_t position);
  void solve_factor(std::vector<double>& x) const;  // C_SS x = x
  void refine(const UnitGram& unit, const std::vector<double>& h);

  BlockPivots blocks_;
  std::vector<std::size_t> active_, moved_;
  std::vector<double> beta_;    // m
  std::vector<char> aside_;     // rows whose violation cannot be told from rounding
  std::vector<double> factor_;  // Cholesky factor of C_SS, row-major with stride m
  std::vector<double> r_, x_;
  std::size_t stride_ = 0;
  int pivots_ = 0;
};

}  // namespace detente::balance::internal
