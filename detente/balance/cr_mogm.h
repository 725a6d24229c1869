// SPDX-License-Identifier: Apache-2.0
// CR-MOGM, a wrapper: the weights of another method, smoothed over the steps.
//
// Rule: w_k = a·w_{k−1} + (1 − a)·ŵ_k with ŵ_k the weights of the inner method; w_1 = ŵ_1, for each
// task at the first step it takes part in.
// Why the plain thing fails: weights computed from a batch are correlated with the gradients of the
// same batch, so Jᵀŵ is biased, and they jump from batch to batch; slow weights are neither.
// Limits: a = 0 -> the inner method; a = 1 -> the first weights for ever; a constant ŵ is a fixed
// point. A task that is absent keeps its weight until it comes back. On steps where the tasks
// present change the weights of a simplex method need not sum to 1.
// State: one weight per task, and the inner method's. Class, needs and errors: the inner method's.
// Certificate: of ŵ.
// Cost: that of the inner method; around one that draws objectives (cagrad_fast) all K gradients,
// as smoothed weights of several draws are those of no objectives.
//
// Paper: Zhou, Zhang, Jiang, Zhong, Gu and Zhu, "On the Convergence of Stochastic Multi-Objective
// Gradient Manipulation and Beyond", NeurIPS 2022.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct CrMogmOptions {
  double a = 0.9;  // share of the weights of the step before, in [0, 1]

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_cr_mogm();

}  // namespace detente::balance
