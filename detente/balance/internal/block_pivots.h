// SPDX-License-Identifier: Apache-2.0
// The linear complementarity problem behind projections and least-norm points,
//   β >= 0, Cβ >= h, equality where β_i > 0,
// by block principal pivoting (Júdice and Pires, Comput. Oper. Res. 21, 1994): guess the active
// rows, solve for them at once, exchange all rows that are on the wrong side, repeat. A few
// Cholesky factors where one-row-at-a-time methods need as many steps as there are active rows.
// It asks for active rows that are clearly independent, and says so when they are not;
// ConeProjector and MinNorm then take their careful way.
#pragma once

#include <detente/balance/internal/unit_gram.h>

#include <cstddef>
#include <vector>

namespace detente::balance::internal {

class BlockPivots {
 public:
  // So that solve() allocates nothing for up to m rows.
  void reserve(std::size_t m);

  // False when no answer was found this way: nearly dependent rows, no answer at all, or exchanges
  // that go round in circles. `beta` is then undefined.
  bool solve(const UnitGram& unit, const std::vector<double>& h, std::vector<double>& beta);

  // Rows that entered or left the active set.
  int pivots() const { return pivots_; }
  // After solve() found the answer: its active rows S in order, and x ← C_SS⁻¹ x.
  const std::vector<std::size_t>& active() const { return active_; }
  void solve_factor(double* x) const;

 private:
  void guess(const UnitGram& unit, const std::vector<double>& h, std::vector<double>& beta);
  bool solve_active(const UnitGram& unit, const std::vector<double>& h);
  void refine(const std::vector<double>& h, std::vector<double>& beta);
  bool violated(const UnitGram& unit, const std::vector<double>& h, std::size_t row) const;

  std::vector<char> in_;  // the active rows, as flags
  std::vector<std::size_t> active_, wrong_;
  std::vector<double> factor_;  // Cholesky factor of C_SS
  std::vector<double> x_;       // β_S
  std::vector<double> slack_;   // Cβ − h
  double sum_ = 0;              // Σ|β_i|, a bound for the terms of a slack
  int pivots_ = 0;
};

}  // namespace detente::balance::internal
