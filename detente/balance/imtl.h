// SPDX-License-Identifier: Apache-2.0
// IMTL: imtl_l balances the losses, and imtl_g the gradients of the balanced losses.
//
// Rule: imtl_l's objective Σ_i [e^{s_i} L_i − s_i] trains s by its own Adam step; the gradients are
// then those of the scaled losses, e^{s_i} g_i, and imtl_g gives them weights α with Σα = 1 and
// equal projections on them all. w_i = α_i e^{s_i} with the s of before the step. Why the plain
// thing fails: imtl_g alone is impartial to directions, but Σw = 1 ties the length of d to the
// units of the losses; imtl_l alone does not see gradients. Limits: the direction is that of imtl_g
// for the unscaled gradients (it does not depend on the length of a row); s = 0 (the first step) →
// imtl_g exactly; lr = 0 keeps it so; k = 1 → w = e^s; zero rows are left out (weight 0, their s
// still learns); imtl_g's guard applies to Σα <= 0. State: s and Adam's moments per task; those of
// absent tasks stay as they are. Errors: a negative loss (kNumeric, names the task), as for imtl_l.
// Cost: O(k³). Class G+L.
// Paper: Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, "Towards Impartial Multi-task Learning",
// ICLR 2021, algorithm 1.
#pragma once

#include <detente/balance/imtl_l.h>

#include <memory>

namespace detente::balance {

// The options are those of imtl_l.
std::unique_ptr<Method> make_imtl();

}  // namespace detente::balance
