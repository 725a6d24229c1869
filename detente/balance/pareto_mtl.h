// SPDX-License-Identifier: Apache-2.0
// Pareto MTL: mgda inside the part of the loss space nearest to a chosen direction.
//
// Directions u (the preference) and u_1, ..., u_m (the others), all of length 1, divide the losses'
// orthant: L belongs to u while (u_j − u)ᵀL <= 0 for all j. A constraint is active where that is
// positive. Rows (u_j − u)ᵀJ of the active constraints join the gradients:
// phase 1, from the first step until no constraint is active or `region_steps` steps have passed:
// the shortest vector in the hull of the constraints' rows;
// phase 2: the shortest vector in the hull of gradients and active constraints' rows.
// With α, β the hull's weights, w_i = α_i + Σ_j β_j (u_j − u)_i (α = 0 in phase 1); d = Jᵀw.
// Why the plain thing fails: mgda ends at whatever Pareto point is near; with one u after another
// the ends spread over the front.
// Limits: no active constraint -> mgda; k = 1 -> 1. In phase 2 no active constraint grows and no
// loss rises, to first order; a zero gradient gives d = 0 then. A constraint whose row vanishes
// cannot be improved and is left out. Weights may be negative.
// Scale: gradients in other units leave w unchanged, and so do losses.
// State: whether phase 1 is over, its steps, and the number of tasks.
// Errors: a negative loss (kNumeric); lists of the wrong length (kInvalidArgument).
// Certificate: as mgda's, for the extended rows.
// Cost: O((k + m)³) per pivot, rarely more than k + m of them; no allocation after the first call.
// Class G+L.
// Paper: Lin, Zhen, Li, Zhang and Kwong, NeurIPS 2019, arXiv 1912.12854.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace detente::balance {

struct ParetoMtlOptions {
  enum class Rescale { kNone, kSumK };

  std::vector<double> preference;    // u, >= 0, one per task; empty = all equal
  std::vector<double> others;        // u_1, u_2, ... one after the other; empty = the k axes
  std::int64_t region_steps = 1000;  // at most, of phase 1; 0 = none
  Rescale rescale = Rescale::kNone;

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_pareto_mtl();

}  // namespace detente::balance
