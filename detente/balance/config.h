// SPDX-License-Identifier: Apache-2.0
// ConFIG: the direction at the same angle to every gradient, with the length of their projections.
//
// Rule: û = U⁺1/‖U⁺1‖, U the unit gradients; d = (Σ_i ⟨g_i, û⟩) û. In the Gram matrix: C the
// cosine matrix, D the diagonal of the norms n, y = C⁺1, w = D⁻¹y (nᵀCy)/(1ᵀy).
// Why the plain thing fails: the mean gradient may conflict with a task; û has the same positive
// cosine with every gradient when they are independent.
// Limits: k = 1 -> w = 1; orthogonal rows of equal norm -> w = 1; identical rows g -> d = k g; d
// is linear in the scale of each gradient; zero rows are left out (weight 0); dependent gradients:
// least squares, where a task may be harmed; scaling all gradients leaves w unchanged.
// Cost: O(k³) (one eigendecomposition). Class G.
// Paper: Liu, Chu and Thuerey, ICLR 2025, arXiv 2408.11104.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

// Throws as Method::solve.
Result config(MatrixView gram);

std::unique_ptr<Method> make_config();

}  // namespace detente::balance
