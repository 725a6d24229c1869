// SPDX-License-Identifier: Apache-2.0
// M-ConFIG: config's direction of the momenta of all tasks, divided coordinate by coordinate by the
// root of its own second moment; made for one task's gradient per step.
//
// Rule: m_i ← β₁ m_i + (1 − β₁) g_i for the tasks present, m̂_i = m_i / (1 − β₁^t_i), t_i the steps
// of task i; g = ConFIG(m̂_1 ... m̂_K) over all tasks. The gradient whose momentum g would be:
// u = ((1 − β₁^t) g − β₁ (the same product in the step before)) / (1 − β₁);
// s ← β₂ s + (1 − β₂) u²; d = g / (√(s / (1 − β₂^t)) + ε).
// Why the plain thing fails: config needs a backward pass per task and step; the momenta of the
// absent tasks stand in for their gradients.
// Limits: until every task has been present once d = 0; β₁ = β₂ = 0 -> the signs of config's
// direction (ε = 0); zero momenta are left out; ε = 0: scaling all gradients leaves d unchanged.
// The step already has Adam's form: use plain SGD.
// Weights of the result: 1 for every task (d is no weighted sum of the rows).
// State: m (K×p), the product of the step before and √s (p each), the numbers of steps.
// Cost: O(K² p + K³). Class J.
// Paper: Liu, Chu and Thuerey, ICLR 2025, arXiv 2408.11104, Algorithm 1.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct MConfigOptions {
  double beta1 = 0.9;     // in [0, 1)
  double beta2 = 0.999;   // in [0, 1)
  double epsilon = 1e-8;  // >= 0, in the unit of the gradients

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_m_config();

}  // namespace detente::balance
