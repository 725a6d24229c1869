// SPDX-License-Identifier: Apache-2.0
// Log-transformed losses: the gradient of Σ log(1 + L_i).
//
// Weights: w_i = 1/(1 + L_i): large losses are damped, small ones (L << 1) count as they are.
// Why the plain thing fails: one large loss drowns the others; unlike si, a solved task (L -> 0)
// does not take over.
// Limits: all L -> 0 gives w = 1; multiplying a large loss by a factor hardly changes d.
// Errors: a loss <= -1 (kNumeric, names the task).
// Cost: O(k). Class L.
// Source: the log_transform loss balancing of Ludwig; not the log L of DB-MTL (that is si).
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_log();

}  // namespace detente::balance
