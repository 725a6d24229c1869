// SPDX-License-Identifier: Apache-2.0
// Scale-invariant baseline: the gradient of the sum of the logarithms of the losses.
//
// Objective: Σ log L_i; w_i = 1/L_i.
// Why the plain thing fails: the unit of a loss decides how much it counts; here multiplying a
// loss by a factor changes nothing at all.
// Limits: equal losses L -> w = 1/L; a loss near 0 takes over.
// Errors: a loss <= 0 (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: baseline of Navon et al. (Nash-MTL), ICML 2022, arXiv 2202.01017.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_si();

}  // namespace detente::balance
