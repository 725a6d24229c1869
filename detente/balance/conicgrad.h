// SPDX-License-Identifier: Apache-2.0
// ConicGrad: of all directions within an angle of the mean gradient, the one that helps the worst
// task most.
//
// Problem: maximise min_i ⟨g_i, d⟩ subject to cos(d, g₀) >= c and ‖d‖ = ‖g₀‖. Solved as the convex
// problem over ‖d‖ <= ‖g₀‖, ⟨d, g₀⟩ >= c‖g₀‖², whose feasible set is the hull of the cap above; the
// two have the same answer whenever ‖d‖ = ‖g₀‖ comes out, which it does unless the level below
// stops rising inside. Solution: if mgda's direction is within the angle, it is the answer.
// Otherwise the angle is active: d = c g₀ + v with v ⊥ g₀ and ‖v‖ <= ‖g₀‖√(1 − c²), and v raises
// the least ⟨g_i, d⟩, which is cagrad's problem for the parts of the gradients across g₀. Why the
// plain thing fails: cagrad bounds the distance from g₀, so the angle it allows and the length of
// the step change together; here the length is always that of the mean gradient. Limits: c = 0 →
// mgda's direction with the length of g₀; c = 1 → d = g₀; k = 1 → w = 1; identical rows g → d = g;
// scaling all gradients leaves w unchanged; g₀ = 0 → d = 0 (weights 1/k); zero rows are left out of
// the minimum. If no direction in the cone helps the worst task, d still has the angle c and harms
// it least; if a shorter move reaches the highest level there is, it is taken. Gradients nearly
// parallel to each other, at an angle φ, lose about ε/φ² of relative accuracy: their Gram matrix
// says no more about the parts across g₀. Certificate: duality gap and excess of ‖d‖², relative to
// the terms that form them. Cost: about k pivots of O(k²) per Newton step, a handful of steps; no
// allocation after the first call. Class G. Paper: Hassanpour, Janjua, Zhang, Lavasani, Zhang, Zhou
// and Gao, 2025, arXiv 2502.00217.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct ConicgradOptions {
  double c = 0.5;  // least cosine between d and the mean gradient

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for an illegal c.
Result conicgrad(MatrixView gram, const ConicgradOptions& options = {});

std::unique_ptr<Method> make_conicgrad();

}  // namespace detente::balance
