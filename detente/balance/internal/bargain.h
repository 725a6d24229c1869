// SPDX-License-Identifier: Apache-2.0
// What nash_mtl and fairgrad share: zero rows, scale and Pareto-stationary points around
// FairNewton.
#pragma once

#include <detente/balance/internal/fair_newton.h>
#include <detente/balance/internal/min_norm.h>
#include <detente/balance/method.h>

namespace detente::balance::internal {

// Shortens w so that ‖Jᵀw‖ <= max_norm; 0 is no limit.
void limit_norm(MatrixView gram, double max_norm, std::vector<double>& w);

class Bargain {
 public:
  // Fills the whole result with the solution of Gw = w^(−1/a).
  void solve(const Problem& problem, double a, Result& result);

 private:
  UnitGram unit_;
  FairNewton newton_;
  MinNorm min_norm_;
  std::vector<double> weights_;
};

}  // namespace detente::balance::internal
