// SPDX-License-Identifier: Apache-2.0
// MoCo: multiple-gradient descent on running averages of the gradients, one small step of the
// weights at a time.
//
// Rule, step t: Y ← Y − β_t (Y − J), β_t = β/t^σ_β; λ ← Π_Δ(λ − γ_t (Y Yᵀ + ρ I) λ),
// γ_t = γ/t^σ_γ; d = Yᵀλ. Y starts at 0 and λ at 1/k.
// Why the plain thing fails: the least-norm weights of one batch's gradients are biased, since
// noise makes every gradient look longer and every pair more orthogonal; averages over the steps
// lose the noise, and weights that move slowly do not follow it.
// Limits: β = 1, ρ = 0 and constant J: λ tends to mgda's weights; γ = 0 -> the mean of the
// averages; ρ → ∞ (γρ < 1) -> uniform weights; k = 1 -> λ = 1. γ has the unit of 1/‖g‖²: scaling
// all gradients changes the weights. Weights of the result: λ, the weights of the averages in d.
// State: Y (k×p), λ and the steps of each task. An absent task keeps its row and its share of λ.
// Cost: O(k² p) for Y Yᵀ. Class J.
// Paper: Fernando et al., ICLR 2023, arXiv 2210.12624.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct MocoOptions {
  enum class Simplex { kProjection, kSoftmax };
  enum class Normalize { kNone, kLoss };
  Preset preset = Preset::kPaper;
  double beta = 0.1;         // in (0, 1]; 1 takes the gradients as they are
  double beta_decay = 0.0;   // σ_β >= 0
  double gamma = 0.1;        // >= 0; 0 keeps the weights
  double gamma_decay = 0.0;  // σ_γ >= 0
  double rho = 0.1;          // >= 0; 0 tends to mgda
  Simplex simplex = Simplex::kProjection;
  Normalize normalize = Normalize::kNone;  // kLoss: rows of length L_i

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_moco();

}  // namespace detente::balance
