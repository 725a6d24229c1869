// SPDX-License-Identifier: Apache-2.0
// Geometric loss strategy: the gradient of the geometric mean of the losses.
//
// Objective: (Π L_i)^(1/k); its gradient has the weights w_i = M/(k L_i) with M the geometric
// mean, computed as exp(mean log L_i), which neither overflows nor underflows.
// Why the plain thing fails: the loss with the largest unit dominates the sum; here w_i L_i is the
// same for every task, and multiplying one loss by a factor changes only the length of d.
// Limits: k = 1 -> w = 1; equal losses -> w = 1/k.
// Errors: a loss <= 0 (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: Chennupati, Sistu, Yogamani and Rawashdeh, CVPR workshops 2019, arXiv 1904.08492.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

std::unique_ptr<Method> make_gls();

}  // namespace detente::balance
