// SPDX-License-Identifier: Apache-2.0
// The point of least norm in the convex hull of the gradients: Wolfe's algorithm (Math. Prog. 11,
// 1976) in terms of the cosine matrix.
//
// In β_i = w_i n_i the problem is: minimise βᵀCβ subject to tᵀβ = 1, β >= 0 with t_i = n_min/n_i,
// whose numbers are all of order one even when the norms differ by many orders of magnitude. Unless
// the minimum is zero, β is also a multiple of the z >= 0 with Cz >= t and equality where z_i > 0,
// which BlockPivots finds sooner where the rows of the face are clearly independent.
#pragma once

#include <detente/balance/internal/block_pivots.h>
#include <detente/balance/internal/unit_gram.h>

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class MinNorm {
 public:
  // So that solve() allocates nothing for up to m rows.
  void reserve(std::size_t m);

  // Weights on the simplex for the rows of `unit` (at least one). Returns the pivots made.
  int solve(const UnitGram& unit, std::vector<double>& w);

 private:
  int solve_row_by_row(const UnitGram& unit, std::size_t start);
  std::size_t worst_row(const UnitGram& unit, double value) const;
  bool face_minimum(const UnitGram& unit);

  BlockPivots blocks_;
  std::vector<std::size_t> face_, old_face_;  // support of the point, affinely independent
  std::vector<double> beta_, old_beta_;
  std::vector<char> aside_;  // rows whose entering led nowhere at the present point
  std::vector<double> t_;
  std::vector<double> y_;       // minimiser over the face's affine hull
  std::vector<double> system_;  // the bordered matrix [C t; tᵀ 0] of the face
};

}  // namespace detente::balance::internal
