// SPDX-License-Identifier: Apache-2.0
// FairGrad: the direction whose improvements are fair among the tasks, with one parameter for how
// fair.
//
// Problem: d = Jᵀw with Gw = w^(−1/α) (elementwise), w > 0: the α-fair allocation of ⟨g_i, d⟩ on a
// ball. α = 1 is nash_mtl; α -> 0 tends to equal weights, α -> ∞ to equal improvements.
// Why the plain thing fails: the mean lets the task with the largest gradient take what it can
// get.
// Limits: k = 1 -> d = ‖g‖^(−2α/(1+α)) g; identical rows g -> k^(1/(1+α)) times that; scaling the
// gradients by s scales d by s^((1−α)/(1+α)); zero rows are left out (weight 0).
// If a convex combination of the gradients vanishes (Pareto-stationary) there is no solution: the
// weights are then those of mgda, d = 0, and the result says so.
// times_k and max_norm (applied in this order) are what the authors' vision code does to d.
// Certificate: max_i |(Gw)_i w_i^(1/α) − 1| relative to its terms.
// Cost: O(k³) per Newton step; no allocation after the first call. Class G.
// Paper: Ban and Ji, ICML 2024, arXiv 2402.15638.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct FairgradOptions {
  Preset preset = Preset::kPaper;  // fills times_k and max_norm when it is set by name
  double alpha = 1.0;              // fairness; the paper tunes 1 or 2 per problem
  bool times_k = false;            // multiply d by k
  double max_norm = 0.0;           // then shorten d to this length; 0 = no limit

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for an illegal alpha.
Result fairgrad(MatrixView gram, const FairgradOptions& options = {});

std::unique_ptr<Method> make_fairgrad();

}  // namespace detente::balance
