// SPDX-License-Identifier: Apache-2.0
// Every-n, a wrapper: another method's weights, computed at every n-th step and kept in between.
//
// Rule: steps 1, n + 1, 2n + 1, ... call the inner method; the others return its last weights, cost
// one backward pass and need neither losses nor a Gram matrix (needs() answers kLoss and
// uses_losses() false).
// Why the plain thing fails: one backward pass per task at every step costs k times as much,
// although weights change little between neighbouring steps.
// Limits: n = 1 -> the inner method; a constant problem -> the inner method.
// Changed tasks: when other tasks are present than at the step before, the weights are computed at
// once if the problem brings what the inner method needs. Otherwise (a kept step was announced)
// each task gets its own last weight, one that never had any the mean of the others present (1/k
// without any), and the next step computes.
// State: position in the period, the last weight of each task, the tasks of the last step and the
// inner method's state. An inner method that learns from the losses after the step (famo) or from
// every step's losses (dwa) sees the steps that call it only.
// Certificate: the inner method's; NaN on kept steps. Objectives that the inner method draws
// (cagrad_fast) are the step's.
// Paper: Xu, Ju, Liu and Yang, "PSMGD: Periodic Stochastic Multi-Gradient Descent", AAAI 2025.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct EveryNOptions {
  std::int64_t n = 4;  // >= 1

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_every_n();

}  // namespace detente::balance
