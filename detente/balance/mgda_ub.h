// SPDX-License-Identifier: Apache-2.0
// MGDA-UB: mgda on the gradients at the shared representation instead of those at the shared
// parameters.
//
// Problem: with z the representation of the batch (all samples, flattened) and row i of Z =
// ∂L_i/∂z: minimise wᵀ ZZᵀ w over w in Δ. By the chain rule ‖Jᵀw‖ <= ‖∂z/∂θ‖ ‖Zᵀw‖, so it is an
// upper bound of mgda's problem up to that factor, and another objective: its weights are those of
// mgda only where ∂z/∂θ is a multiple of an isometry. Both stop at the same points (Zᵀw = 0) if
// ∂z/∂θ has full row rank; d = Jᵀw may harm a task where it has not, and where it distorts angles.
// Why the plain thing fails: mgda takes a backward pass through the whole trunk per task; this one
// through the heads only, and a single one through the trunk.
// Limits, normalisers, least_share, degenerate input and certificate: as mgda, in terms of Z. Only
// for one shared representation (hard parameter sharing).
// Cost: as mgda. Class G, with losses G+L; at_features().
// Paper: Sener and Koltun, NeurIPS 2018, arXiv 1810.04650, section 3.3.
#pragma once

#include <detente/balance/mgda.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_mgda_ub();

}  // namespace detente::balance
