// SPDX-License-Identifier: Apache-2.0
// Dynamic task prioritisation: the focal loss among tasks; hard ones come first.
//
// Rule: κ_i in (0, 1] says how well a task does, κ̄ its moving average (κ̄ ← α κ + (1 − α) κ̄, the
// first is κ itself), w_i = −(1 − κ̄_i)^γ log κ̄_i.
// The paper takes κ from a metric (accuracy); here κ_i = exp(−L_i/u_i), u_i the unit of the loss.
// For a mean cross-entropy with u = 1 that is the geometric mean of the probabilities given to the
// right classes, the very number in the focal loss.
// Why the plain thing fails: a model goes on perfecting easy tasks while hard ones lag.
// Limits: L -> 0 gives w -> 0; γ = 0 and α = 1 give w = L/u, the gradient of Σ L²/(2u); w grows
// with L and stays below 37, where κ̄ reaches the spacing of floating-point numbers.
// State: 1 − κ̄ per task; that of an absent task stays as it is.
// Errors: a negative loss (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: Guo, Haque, Huang, Yeung and Fei-Fei, ECCV 2018.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct DtpOptions {
  double gamma = 1.0;         // γ >= 0: how little easy tasks count
  double alpha = 0.1;         // α in (0, 1]: share of the present step in the average
  std::vector<double> units;  // u, one per task, > 0; empty = 1

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_dtp();

}  // namespace detente::balance
