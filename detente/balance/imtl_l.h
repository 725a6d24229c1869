// SPDX-License-Identifier: Apache-2.0
// IMTL-L: loss weights learned so that all weighted losses become equal.
//
// Objective: Σ_i [e^{s_i} L_i − s_i], s_i trained by its own Adam step with the analytic gradient
// e^{s_i} L_i − 1.
// Weights: w_i = e^{s_i} with the s of before the step.
// Why the plain thing fails: losses of different scale count differently; at the optimum s_i =
// −log L_i every weighted loss is 1, whatever its unit.
// Limits: at constant losses w -> 1/L; the first step has w = e^{init}; a solved task's weight
// grows until s is clamped.
// State: s and Adam's moments and step count per task; that of an absent task stays as it is.
// Errors: a negative loss (kNumeric, names the task): the objective then has no minimum.
// Cost: O(k). Class L.
// Paper: Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, "Towards Impartial Multi-task Learning",
// ICLR 2021.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct ImtlLOptions {
  double lr = 0.025;    // Adam's step on s (β = 0.9, 0.999, no weight decay); 0 freezes s
  double init = 0.0;    // first value of s
  double clamp = 10.0;  // |s| never exceeds this

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_imtl_l();

}  // namespace detente::balance
