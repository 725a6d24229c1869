// SPDX-License-Identifier: Apache-2.0
// FERERO, single-loop form: mgda subject to the constraint that the losses lie on a given ray.
//
// Problem: minimise ½‖Jᵀλ‖² − ½ νᵀL over λ = λ_f + ν, λ_f in Δ, ν ⊥ p (ν = Bᵀλ_h with the rows of
// B an orthonormal basis of p^⊥, so the constraint B L = 0 says L ∝ p); d = Jᵀλ, w = λ.
// Rule, one step per step of training, both from the λ before: λ_f ← Π_Δ(λ_f − γ A λ),
// ν ← ν − γ P(A λ − ½ L), P the projection on p^⊥. A is the Gram matrix or, with
// `double_sampling`, J₁J₂ᵀ of two independent batches (Problem::cross).
// Why the plain thing fails: mgda stops at any Pareto point; this drives the losses to the one on
// the ray at the same time.
// Limits: losses on the ray and ν = 0 -> λ_f takes modo's step with ρ = 0; identical rows and equal
// preference -> d = g; k = 1 -> 1; γ = 0 -> the mean for ever. On a fixed problem with
// γ < 1/‖A‖ it converges to the minimiser. Weights may be negative and of any sum.
// Scale: as published, γ and the ½ mix gradient² with losses: losses in other units are another
// problem. `normalize` measures gradients in their mean norm and losses in their mean instead.
// State: λ_f and ν, one number per task each; those of absent tasks stay as they are.
// Errors: kNumeric when ν diverges (γ too large).
// Cost: O(k²), no allocation after the first call. Class G+L; X with double_sampling.
// Paper: Chen, Saif, Shen and Chen, NeurIPS 2024, arXiv 2412.01773.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <vector>

namespace detente::balance {

struct FereroOptions {
  enum class Rescale { kNone, kSumOne };

  std::vector<double> preference;  // p, > 0, one per task; empty = all equal
  double gamma = 1e-5;             // >= 0
  bool normalize = false;
  bool double_sampling = false;
  Rescale rescale = Rescale::kNone;

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_ferero();

}  // namespace detente::balance
