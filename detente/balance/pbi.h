// SPDX-License-Identifier: Apache-2.0
// Penalty-based boundary intersection: down along a ray of preferred trade-offs, and towards it.
//
// Objective: d₁ + θ d₂ with f = L − z, ŵ = p/‖p‖, d₁ = ⟨f, ŵ⟩ the way along the ray z + t ŵ, and
// d₂ = ‖f − d₁ ŵ‖ the distance from it. Its gradient: w = ŵ + θ u, u = (f − d₁ ŵ)/d₂.
// Why the plain thing fails: a weighted sum ends wherever the front is tangent to it; this ends
// where the ray meets the front, also where the front is not convex.
// Limits: θ = 0 -> w = ŵ; on the ray, where d₂ has no gradient, u = 0; k = 1 -> w = 1; equal
// losses -> 1/√k. ⟨w, f⟩ = d₁ + θ d₂ and ‖w‖² = 1 + θ² off the ray. Scaling the losses leaves w.
// A task far below the ray gets a negative weight, its loss is raised; with θ <= min ŵ none does.
// Cost: O(k). Class L.
// Paper: Zhang and Li (MOEA/D), IEEE Trans. Evolutionary Computation 11(6), 2007.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct PbiOptions {
  double theta = 5.0;              // θ >= 0
  std::vector<double> preference;  // p, one per task, >= 0; empty = equal
  std::vector<double> ideal;       // z, one per task; empty = 0

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_pbi();

}  // namespace detente::balance
