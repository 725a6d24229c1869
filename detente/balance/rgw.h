// SPDX-License-Identifier: Apache-2.0
// Random gradient weighting: the random weights of rlw, applied to the tasks' gradients.
//
// Rule: z ~ N(0, I_k), w = softmax(z). Σ w_i ∇L_i = ∇ Σ w_i L_i, so the shared parameters move as
// they do with rlw and the same numbers; the difference is what it costs and that the tasks' own
// parameters are treated as by every method of class G.
// Limits: k = 1 -> w = 1; Σw = 1 and w > 0 always.
// Random: needs Problem::rng; equal seeds give equal bits.
// Cost: O(k), and a backward pass per task. Class G.
// Paper: Lin, Ye, Zhang and Tsang, TMLR 2022, arXiv 2111.10603.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_rgw();

}  // namespace detente::balance
