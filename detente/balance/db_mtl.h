// SPDX-License-Identifier: Apache-2.0
// DB-MTL: gradients of the logarithms of the losses, averaged over the steps and all made as long
// as the longest.
//
// Rule: h_i = ∇ log(L_i + ε) = g_i / (L_i + ε); ĥ_i ← β_t ĥ_i + (1 − β_t) h_i, β_t = β/t^σ with t
// the steps of task i and ĥ_i = 0 at first; d = Σ_i α_i ĥ_i with α_i = max_j ‖ĥ_j‖ / ‖ĥ_i‖.
// Why the plain thing fails: in the sum the task with the largest loss or the longest gradient
// decides; here neither counts.
// Limits: β = 0: no state, and the Gram matrix is enough (class G+L); all α_i ĥ_i have the same
// length; ε = 0: scaling the losses (and so their gradients) leaves d unchanged; k = 1, β = 0 ->
// w = 1/L; a zero ĥ_i is left out (weight 0); all zero -> d = 0. Losses must exceed −ε.
// Weights of the result: α_i / (L_i + ε): those of the rows in d for β = 0, and of the averaged
// rows in the unit of the loss otherwise. State for β > 0: ĥ (k×p) and the steps of each task. An
// absent task keeps its row, has no part in d. Cost: O(k²), or O(k p) for β > 0. Paper: Lin et al.,
// Neural Networks 2025, arXiv 2308.12029.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <span>

namespace detente::balance {

struct DbMtlOptions {
  double beta = 0.9;        // in [0, 1); 0 keeps no average
  double beta_decay = 0.0;  // σ >= 0
  double epsilon = 0.0;     // ε >= 0, in the unit of the losses

  void describe(FieldVisitor& visitor);
};

// β = 0. Throws as Method::solve.
Result db_mtl(MatrixView gram, std::span<const double> losses);

std::unique_ptr<Method> make_db_mtl();

}  // namespace detente::balance
