// SPDX-License-Identifier: Apache-2.0
// MGDA: the shortest vector in the convex hull of the gradients, which lowers every loss at once.
//
// Problem: minimise wᵀ·gram·w over w in Δ; d = Jᵀw. Optimal exactly when (gram w)_i >= wᵀ gram w
// for every i, with equality where w_i > 0; d = 0 exactly at Pareto-stationary points.
// Why the plain thing fails: the mean gradient may raise a task's loss; d never does, to first
// order, and improves all tasks of its support equally.
// Limits: k = 1 → w = 1; k = 2 → w₁ = clip((g₂₂ − g₁₂)/(g₁₁ + g₂₂ − 2g₁₂), 0, 1); a zero row takes
// all the weight (d = 0); all rows zero → w = 1/k; scaling all gradients leaves w unchanged; a
// repeated row leaves d unchanged.
// Normalisers: the problem is solved for rows g_i/n_i (l2), g_i/L_i (loss) or g_i/(L_i n_i)
// (loss+), n_i = ‖g_i‖; the weights then apply to the rows as they are.
// least_share: the authors' solver gives a dominated one of two tasks 0.001 instead of 0, so that
// it never stands still; the certificate is that of the exact weights. Certificate: the largest
// shortfall of the optimality condition, relative to the terms that form it. Cost: O(k³) per pivot,
// rarely more than k pivots (Wolfe's algorithm); no allocation after the first call. Class G, with
// losses G+L. Paper: Désidéri, C. R. Acad. Sci. 350 (2012); Sener and Koltun, NeurIPS 2018, arXiv
// 1810.04650.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>
#include <span>

namespace detente::balance {

struct MgdaOptions {
  enum class Normalizer { kNone, kL2, kLoss, kLossPlus };
  Preset preset = Preset::kPaper;  // fills least_share when it is set by name
  Normalizer normalizer = Normalizer::kNone;
  double least_share = 0.0;

  void describe(FieldVisitor& visitor);
};

// `losses` (k, all positive) is needed by the loss normalisers only. Throws as Method::solve.
Result mgda(MatrixView gram, const MgdaOptions& options = {}, std::span<const double> losses = {});

std::unique_ptr<Method> make_mgda();

}  // namespace detente::balance
