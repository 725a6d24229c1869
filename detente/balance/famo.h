// SPDX-License-Identifier: Apache-2.0
// FAMO: the task whose loss falls slowest gets more weight, learned from what each step did.
//
// Weights: D_i = L_i − b_i + ε, z = softmax(ξ), w_i = c z_i/D_i with c such that Σw = 1: the step
// descends c Σ z_i log D_i.
// After the step, with the losses of the same batch anew: δ_i = log D_i − log D_i', the fall of
// each log-loss, and ξ ← ξ − β [(diag z − z zᵀ) δ + γ ξ].
// Why the plain thing fails: balancing the falls of all losses needs every task's gradient; one
// more forward pass shows the falls themselves, at a cost that does not grow with k.
// Limits: k = 1 -> w = 1; equal falls leave ξ to the decay γ alone; without the call after the
// step ξ stays; adding a constant to all δ changes nothing.
// State: ξ per task (and Adam's moments with optimizer adam); that of an absent task stays as it
// is. z is a softmax over the tasks present.
// Errors: a loss whose D is not > 0 (kNumeric, names the task); new losses for other tasks than
// those of the step (kInvalidArgument).
// Cost: O(k), and one forward pass more per step. Class L.
// Paper: Liu, Feng, Stone and Liu, NeurIPS 2023, arXiv 2306.03792.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct FamoOptions {
  enum class Optimizer { kPlain, kAdam };

  Preset preset = Preset::kPaper;
  Optimizer optimizer = Optimizer::kPlain;  // official_code: Adam
  double lr = 0.025;                        // β
  double decay = 0.001;                     // γ, part of the gradient of ξ; official_code: 0.01
  double epsilon = 0.0;                     // ε, in the unit of the losses; official_code: 1e-8
  std::vector<double> lower_bounds;         // b, one per task; empty = 0

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_famo();

}  // namespace detente::balance
