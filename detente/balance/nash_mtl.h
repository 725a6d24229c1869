// SPDX-License-Identifier: Apache-2.0
// Nash-MTL: the direction on which the tasks would agree in Nash's bargaining game.
//
// Problem: maximise Σ log⟨g_i, d⟩ over a ball; the solution is d = Jᵀα with Gα = 1/α
// (elementwise), α > 0, taken with the length it has there: ‖d‖² = k.
// Why the plain thing fails: the mean follows the largest gradient; here multiplying one task's
// loss by a factor does not change d at all.
// Limits: k = 1 -> d = g/‖g‖; identical rows g -> d = √k g/‖g‖; orthogonal rows -> α_i = 1/‖g_i‖;
// d has the length √k whatever the scale of the gradients, so the learning rate alone sets the
// step; zero rows are left out (weight 0).
// If a convex combination of the gradients vanishes (Pareto-stationary) there is no agreement: the
// weights are then those of mgda, d = 0, and the result says so.
// normalize and max_norm are what the authors' code does: it solves for G/‖G‖_F, which multiplies d
// by √‖G‖_F (so d has the scale of the gradients), and then shortens d to length 1. Certificate:
// max_i |(Gα)_i α_i − 1| relative to its terms. Cost: O(k³) per Newton step, 5 to 15 steps; no
// allocation after the first call. Class G. Paper: Navon, Shamsian, Achituve, Maron, Kawaguchi,
// Chechik and Fetaya, ICML 2022, arXiv 2202.01017.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct NashMtlOptions {
  Preset preset = Preset::kPaper;  // fills normalize and max_norm when it is set by name
  bool normalize = false;          // solve for G/‖G‖_F
  double max_norm = 0.0;           // shorten d to this length; 0 = no limit

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve, and kInvalidArgument for an illegal max_norm.
Result nash_mtl(MatrixView gram, const NashMtlOptions& options = {});

std::unique_ptr<Method> make_nash_mtl();

}  // namespace detente::balance
