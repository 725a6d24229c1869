// SPDX-License-Identifier: Apache-2.0
// IMTL-G: the direction whose projections on all gradients are equal.
//
// Rule: ⟨d, g_i/‖g_i‖⟩ is the same for every i and Σw = 1: with C the cosine matrix and D the
// diagonal of the norms, a = D⁻¹C⁺1, w = a/Σa.
// Why the plain thing fails: the mean gradient makes fast progress on large gradients only.
// Limits: k = 1 -> w = 1; k = 2 -> w_i ∝ 1/‖g_i‖; identical rows g -> d = g; zero rows are left
// out (weight 0); scaling all gradients leaves w unchanged.
// Guard: for k >= 3 the sum Σa may be negative or zero, and w would then raise every loss. There d
// becomes the direction and length of config, which has the same projections with a positive sign,
// and the result says so. Dependent gradients may have no equal projections at all: least squares,
// where a task may be harmed, and the result says so (kDegenerate).
// Cost: O(k³) (one eigendecomposition). Class G.
// Paper: Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, "Towards Impartial Multi-task Learning",
// ICLR 2021.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

// Throws as Method::solve.
Result imtl_g(MatrixView gram);

std::unique_ptr<Method> make_imtl_g();

}  // namespace detente::balance
