// SPDX-License-Identifier: Apache-2.0
// UPGrad: the mean of the gradients after each was projected so that it harms no task.
//
// Rule: d = Σ_i p_i π(g_i), p the preference (1/k by default), π(x) the point nearest to x with
// ⟨g_j, π(x)⟩ >= 0 for all j: k projections with one Gram matrix (see dualproj.h).
// Why the plain thing fails: the mean gradient may raise a task's loss. dualproj projects the
// mean, in which large gradients have already outweighed small ones; here each task is projected
// first, so d is linear in the scale of each gradient.
// Limits: no conflict -> w = p; k = 1 -> w = p; k = 2 -> half of pcgrad's sum; identical rows g ->
// d = g; zero rows keep p_i and change nothing; scaling all gradients leaves w unchanged.
// Certificate: the worst of the k projections (violation and complementarity, relative).
// Cost: k dual active-set projections, about O(k⁴) at worst; no allocation after the first call.
// Class G.
// Paper: Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, arXiv
// 2406.16232.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct UpgradOptions {
  std::vector<double> preference;  // p, one per task, >= 0; empty = 1/k

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve.
Result upgrad(MatrixView gram, const UpgradOptions& options = {});

std::unique_ptr<Method> make_upgrad();

}  // namespace detente::balance
