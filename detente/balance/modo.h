// SPDX-License-Identifier: Apache-2.0
// MoDo: mgda's weights followed by one projected gradient step per step of training, on gradients
// of independent batches (double sampling).
//
// Rule: w ← Π_Δ(w − γ(A w + ρ w)), A = J₁J₂ᵀ of two independent batches (Problem::cross); then
// d = Jᵀw with the new w. Without a cross matrix A = gram, whose estimate of Jᵀw is biased.
// Why the plain thing fails: the least-norm weights of one batch depend on that batch's noise, and
// their expectation is not the least-norm weights of the full gradients.
// Limits: γ = 0 -> the mean for ever; ρ = 0, A = gram constant and γ < 2/‖A‖ -> mgda; ρ -> ∞ with
// γρ <= 1 -> the mean; k = 1 -> 1. w stays in Δ, whatever A.
// Scale: γ has the unit 1/gradient², as published: with gradients ten times as large the weights
// move a hundred times as fast. `normalize` divides A by the squared mean gradient norm of the
// step's own batch instead, after which the weights do not depend on the scale of the losses.
// State: w, one number per task; an absent task keeps its w, and the present share the rest.
// Cost: O(k²), no allocation after the first call. Class X.
// Paper: Chen, Fernando, Ying and Chen, NeurIPS 2023 and JMLR 25 (2024), arXiv 2305.20057.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct ModoOptions {
  double gamma = 0.1;      // >= 0
  double rho = 0.1;        // >= 0
  bool normalize = false;  // measure A in units of the mean gradient norm

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_modo();

}  // namespace detente::balance
