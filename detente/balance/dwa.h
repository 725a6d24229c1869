// SPDX-License-Identifier: Apache-2.0
// Dynamic weight average: a task whose loss falls more slowly than the others' gets more weight.
//
// Rule: losses are averaged over windows of `window` steps; r_i = mean of the last complete window
// / mean of the one before, w = k · softmax(r/T). Until two windows are complete r_i = 1.
// Why the plain thing fails: fixed weights cannot follow tasks that learn at different speeds.
// Limits: equal ratios or T -> ∞ give w = 1; Σw = k; k = 1 -> w = 1. A task whose mean was 0
// counts as ratio 1. The ratio ignores the unit of a loss.
// State: the sums of the running window and the means of the last two, per task. Steps without a
// task do not count for its windows.
// Errors: a negative loss (kNumeric, names the task): the ratio then means nothing.
// Cost: O(k). Class L.
// Paper: Liu, Johns and Davison (MTAN), CVPR 2019, arXiv 1803.10704; its windows are epochs.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct DwaOptions {
  double temperature = 2.0;  // T > 0 of the softmax
  std::int64_t window = 25;  // steps per window; the paper uses the steps of an epoch

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_dwa();

}  // namespace detente::balance
