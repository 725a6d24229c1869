// SPDX-License-Identifier: Apache-2.0
// SDMGrad: mgda pulled towards the mean gradient, with weights that follow by stochastic steps.
//
// Problem: minimise ½‖Jᵀw + λg₀‖² over w in Δ; d = Jᵀ(w + λ/k)/(1 + λ), so the weights returned are
// (w + λ/k)/(1 + λ).
// Rule: `steps` times v ← m v + A(w + λ/k), w ← Π_Δ(w − lr v), with A = J₁J₂ᵀ/s² of two independent
// batches (Problem::cross) and s the `unit`: the root of the trace of the Gram matrix of the step's
// own batch, or the mean gradient norm there. v starts at 0 in each step of training; w goes on
// from the step before. Without a cross matrix A = gram/s²: the estimate of Jᵀw is then biased.
// Why the plain thing fails: weights solved on one batch are correlated with the gradients of that
// batch; two more batches make the expectation of the step that of the full problem.
// Limits: λ = 0 with A = gram/s² and many steps -> mgda; λ -> ∞ -> the mean; k = 1 -> 1; identical
// rows g -> d = g. w stays in Δ, whatever A. Scaling all gradients leaves w unchanged.
// With unit `total` no eigenvalue of gram/s² exceeds 1 and lr <= 2 follows the problem. The code
// of the authors (preset official_code) takes lr 10 with the mean norm: its steps overshoot, w
// jumps between corners and faces of Δ, and rounding errors grow until they decide where to.
// State: w, one number per task; an absent task keeps its w, and the present share the rest.
// Cost: O(steps k²), no allocation after the first call. Class X.
// Paper: Xiao, Ban and Ji, NeurIPS 2023, arXiv 2305.18409.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct SdmgradOptions {
  enum class Unit { kTotal, kMeanNorm };

  Preset preset = Preset::kPaper;
  double lambda = 0.3;      // >= 0; pull towards the mean gradient
  std::int64_t steps = 20;  // of w in each step of training, >= 1
  double lr = 1.0;          // of w, > 0, for gradients measured in `unit`
  double momentum = 0.5;    // in [0, 1)
  Unit unit = Unit::kTotal;

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_sdmgrad();

}  // namespace detente::balance
