// SPDX-License-Identifier: Apache-2.0
// DualProj: the direction nearest to the mean gradient that harms no task.
//
// Problem: minimise ‖d − Jᵀp‖ subject to ⟨g_i, d⟩ >= 0 for all i, p the preference (1/k by
// default); d = Jᵀv with v = argmin vᵀ gram v subject to v >= p (projection on the dual cone).
// Why the plain thing fails: the mean gradient may raise a task's loss; this is the least change
// of it that does not.
// Limits: no conflict with the mean -> w = p; k = 1 -> w = p; identical rows g -> d = g; 0 in the
// convex hull of the gradients may give d = 0; zero rows change nothing; scaling all gradients
// leaves w unchanged.
// Certificate: the largest violation of ⟨g_i, d⟩ >= 0 and of complementarity, relative to the
// terms that form them.
// Cost: about k pivots of O(k²) (dual active set), no allocation after the first call. Class G.
// Paper: Lopez-Paz and Ranzato (GEM), NeurIPS 2017, arXiv 1706.08840, for all tasks at once.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct DualprojOptions {
  std::vector<double> preference;  // p, one per task, >= 0; empty = 1/k

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve.
Result dualproj(MatrixView gram, const DualprojOptions& options = {});

std::unique_ptr<Method> make_dualproj();

}  // namespace detente::balance
