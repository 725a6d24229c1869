// SPDX-License-Identifier: Apache-2.0
// SAM-GS: gradients of dissimilar length are made equally long; those of similar length are scaled
// coordinate by coordinate by their momentum.
//
// Rule: n_i = ‖g_i‖; similarity of a pair s_ij = 2 n_i n_j / (n_i² + n_j²), in (0, 1]; running
// averages m_i ← β₁ m_i + (1 − β₁) g_i and v ← β₂ v + (1 − β₂)(1 − s̄)² + ε, s̄ the mean similarity;
// m̂_i, v̂ without their bias towards zero.
//   some s_ij < γ (or s̄ < γ): d = n̄ Σ_i g_i / n_i, n̄ the mean of n;
//   otherwise:                d = Σ_i g_i ⊙ |m̂_i| / √v̂.
// Why the plain thing fails: in the sum the longest gradient decides.
// Limits: k = 1 -> d = g; γ = 0 -> always the momentum; γ > 1 -> always equal lengths; a zero row
// is left out of similarities, means and d. The two forms differ in unit: d is of degree 1 in the
// gradients in the first and of degree 2 in the second, where ε alone bounds it when all norms are
// equal.
// Weights of the result: n̄/n_i with equal lengths, 1 for every task with the momentum.
// State: m (k×p), v and the numbers of steps.
// Cost: O(k p). Class J: the momentum form depends on the coordinates.
// Paper: Borsani, Rosani, Nicosia and Di Fatta, 2025, arXiv 2506.06130.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct SamGsOptions {
  enum class Compare { kAny, kMean };
  Preset preset = Preset::kPaper;
  double gamma = 0.7;               // γ >= 0; 0 never equalises
  Compare compare = Compare::kAny;  // which similarity must be below γ
  double beta1 = 0.9;               // β₁ in [0, 1)
  double beta2 = 0.99;              // β₂ in [0, 1)
  double epsilon = 1e-8;            // ε > 0, dimensionless

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_sam_gs();

}  // namespace detente::balance
