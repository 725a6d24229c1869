// SPDX-License-Identifier: Apache-2.0
// The projections of single gradients on the dual cone {d : ⟨g_i, d⟩ >= 0 for all i}, one after the
// other on the same rows. They share the matrix of the rows, so where most rows are active one
// inverse serves all of them: in the inner products y = C(e_i + β) the problem reads
//   y >= 0, C⁻¹y >= e_i, equality where y_j > 0,
// and few of the y_j are positive.
#pragma once

#include <detente/balance/internal/block_pivots.h>
#include <detente/balance/internal/project.h>
#include <detente/balance/internal/unit_gram.h>

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class RowProjections {
 public:
  // Before the projections on new rows.
  void begin(const UnitGram& unit);

  // v with Jᵀv the projection of row `row`. Returns the certificate of DualConeProjection.
  double apply(const UnitGram& unit, std::size_t row, std::vector<double>& v);

  int pivots() const { return pivots_; }

 private:
  void invert(const UnitGram& unit);
  bool apply_inverse(const UnitGram& unit, std::size_t row);
  double certificate(const UnitGram& unit, std::size_t row);
  void correct(std::size_t row);

  DualConeProjection projection_;
  BlockPivots blocks_;
  UnitGram inverse_;  // C⁻¹ = DQD: D in norm, Q in cosine
  std::vector<double> factor_, work_;
  std::vector<char> free_;     // rows that are not active, as flags
  std::vector<double> h_, y_;  // of the problem in Q
  std::vector<double> w_;      // e_row + β
  std::vector<double> inner_, size_;
  double certificate_ = 0;
  int pivots_ = 0;
  bool first_ = true, inverted_ = false;
};

}  // namespace detente::balance::internal
