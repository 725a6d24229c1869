// SPDX-License-Identifier: Apache-2.0
// Random loss weighting: weights drawn anew at every step.
//
// Rule: z ~ N(0, I_k), w = softmax(z); E[w] = 1/k, so d is an unbiased, noisy mean gradient.
// Why the plain thing fails: it need not; this baseline asks whether a balancing method gains more
// than noise in the weights does.
// Limits: k = 1 -> w = 1; Σw = 1 and w > 0 always.
// Random: needs Problem::rng; equal seeds give equal bits.
// Cost: O(k). Class L.
// Paper: Lin, Ye, Zhang and Tsang, TMLR 2022, arXiv 2111.10603.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_rlw();

}  // namespace detente::balance
