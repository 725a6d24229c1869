// SPDX-License-Identifier: Apache-2.0
// The problem that cagrad and cagrad_fast share: maximise min_i ⟨g_i, d⟩ over ‖d − g₀‖ <= c‖g₀‖,
// where g₀ = Jᵀp for given p.
#pragma once

#include <detente/balance/internal/level.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method.h>

#include <vector>

namespace detente::balance::internal {

class ConflictAverse {
 public:
  // Fills the whole result; its weights are p + (r/‖g_w‖) w (see cagrad.h). `p` has one entry per
  // task, >= 0 with sum 1.
  void solve(const Problem& problem, const std::vector<double>& p, double c, Result& result);

 private:
  UnitGram unit_;
  LevelSolver solver_;
  std::vector<double> b_;      // ⟨g_i, g₀⟩
  std::vector<double> total_;  // p + u
};

}  // namespace detente::balance::internal
