// SPDX-License-Identifier: Apache-2.0
// The highest level that every row can reach with a move of bounded length,
//   maximise min_i (a_i + ⟨g_i, v⟩) subject to ‖v‖ <= r.
//
// The solver searches the level μ. The shortest v with a_i + ⟨g_i, v⟩ >= μ for all i is Jᵀu, u >=
// 0, a projection that ConeProjector does exactly; its length φ(μ) is convex and grows with μ, and
// the answer is the μ with φ(μ) = r. Newton's step from above is μ ← ⟨w, a⟩ + r‖Jᵀw‖ at w = u/Σu,
// the dual value, so every iterate is also an upper bound, and on the last face it ends at the
// closed form.
#pragma once

#include <detente/balance/internal/cone.h>
#include <detente/balance/internal/unit_gram.h>

#include <limits>
#include <vector>

namespace detente::balance::internal {

class LevelSolver {
 public:
  struct Limits {
    // No higher level is asked for.
    double highest = std::numeric_limits<double>::infinity();
    // The highest level there is when the rows positively span 0 (a_i = ⟨g_i, x⟩ has 0); NaN: taken
    // from the combination of rows that vanishes.
    double stationary = std::numeric_limits<double>::quiet_NaN();
  };

  // So that solve() allocates nothing for up to m rows.
  void reserve(std::size_t m);

  // Everything in units of `unit`; `a` has one entry per row, r > 0. Returns the best upper bound
  // on the level.
  double solve(const UnitGram& unit, const std::vector<double>& a, double r, const Limits& limits);

  const std::vector<double>& u() const { return u_; }  // v = Jᵀu
  // Whether ‖v‖ < r because a longer move reaches no higher level.
  bool inside() const { return inside_; }
  int pivots() const { return pivots_; }

 private:
  ConeProjector projector_;
  std::vector<double> h_;  // the projection's right side at the present level
  std::vector<double> u_;
  bool inside_ = false;
  int pivots_ = 0;
};

}  // namespace detente::balance::internal
