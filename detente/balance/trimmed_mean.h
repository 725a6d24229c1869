// SPDX-License-Identifier: Apache-2.0
// Trimmed mean: at each coordinate the mean of the gradients without the t largest and the t
// smallest.
//
// Rule, per coordinate: sort g_1 ... g_k; d = the mean of those at t + 1 ... k − t.
// Why the plain thing fails: one task with exploding or wrong gradients (or one faulty worker)
// moves the mean as far as it likes; up to t of them cannot move d outside the range of the others.
// Limits: t = 0 -> the mean; k <= 2t -> t is lowered to what leaves one or two values, the median
// (so k <= 2 gives the mean); identical rows g -> d = g; scaling all gradients scales d.
// Weights of the result: 1 for every task (d is no weighted sum of the rows).
// Cost: O(k t p) (t passes of keeping the extremes). Class J: depends on the coordinates. No state.
// Paper: Yin, Chen, Ramchandran and Bartlett, ICML 2018, arXiv 1803.01498, Definition 2.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct TrimmedMeanOptions {
  std::int64_t trim = 1;  // t >= 0; 0 is the mean

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_trimmed_mean();

}  // namespace detente::balance
