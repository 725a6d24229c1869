// SPDX-License-Identifier: Apache-2.0
// CAGrad: the direction near the mean gradient that helps the worst task most.
//
// Problem: maximise min_i ⟨g_i, d⟩ subject to ‖d − g₀‖ <= c‖g₀‖. Its dual is: minimise ⟨g_w, g₀⟩ +
// r‖g_w‖ over w in Δ with g_w = Jᵀw, r = c‖g₀‖; then d = g₀ + (r/‖g_w‖) g_w, so the weights
// returned are 1/k + (r/‖g_w‖) w, before the rescaling.
// Why the plain thing fails: the mean gradient sacrifices a task whenever the sum gains by it;
// MGDA never does, but stops at any Pareto-stationary point. For c < 1 CAGrad converges to a
// minimum of the mean loss and still favours the worst task on the way.
// Limits: c = 0 → the mean; c -> ∞ → MGDA's direction; c >= 1 → no task gets worse; k = 1 → w = 1
// + c; identical rows g → d = (1 + c) g; scaling all gradients leaves the weights unchanged; tasks
// with a zero row are left out of the minimum and keep 1/k; g₀ = 0 → d = 0 (weights 1/k).
// If no direction improves every task, many d reach the maximum 0: the one nearest to g₀ is taken
// (paper and codes divide 0 by 0 there, or add a small constant).
// Rescaling: codes divide d by 1 + c (toy, CAGrad-Fast) or 1 + c² (vision, the authors' default);
// the vision code then multiplies by k, to match the gradient of the summed loss. Certificate:
// duality gap before rescaling, relative to the terms that form it. Cost: about k pivots of O(k²)
// per Newton step, a handful of steps; no allocation after the first call. Class G. Paper: Liu,
// Liu, Jin, Stone and Liu, NeurIPS 2021, arXiv 2110.14048.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct CagradOptions {
  enum class Rescale { kNone, kOnePlusC, kOnePlusC2 };
  Preset preset = Preset::kPaper;  // fills rescale and times_k when it is set by name
  double c = 0.4;  // radius of the ball around g₀ in units of ‖g₀‖; 0 = mean
  Rescale rescale = Rescale::kNone;  // the final division of d
  bool times_k = false;              // multiply d by k at the end

  void describe(FieldVisitor& visitor);
};

// What `rescale` multiplies d by: 1, 1/(1 + c) or 1/(1 + c²).
double rescale_factor(CagradOptions::Rescale rescale, double c);
// The options c and rescale, which cagrad_fast has too.
void visit_cagrad_radius(FieldVisitor& visitor, double& c, CagradOptions::Rescale& rescale);

// Throws as Method::solve, and kInvalidArgument for an illegal c.
Result cagrad(MatrixView gram, const CagradOptions& options = {});

std::unique_ptr<Method> make_cagrad();

}  // namespace detente::balance
