// SPDX-License-Identifier: Apache-2.0
// Uncertainty weighting: each loss is divided by a variance that is learned beside the model.
//
// Objective: Σ_i [c_i e^{−s_i} L_i + a s_i], s_i = log σ_i² trained by its own Adam step with the
// analytic gradient −c_i e^{−s_i} L_i + a; c = ½, a = ½ for Gaussian regression (squared error), c
// = 1, a = ½ for classification (cross-entropy), c = 1, a = 1 for Laplace regression (absolute
// error, s = log b).
// Weights: w_i = c_i e^{−s_i} with the s of before the step.
// Why the plain thing fails: losses in different units and noise levels are added as if they were
// comparable; the noisiest one dominates.
// Limits: at constant losses s → ln(2 c_i L_i) (Laplace: ln L_i), where w_i = 1/(2 L_i) for every
// kind but Laplace (1/L_i); a solved task (L → 0) gets a weight that grows until s is clamped.
// State: s and Adam's moments and step count, per task in the order of the tasks; starts at s =
// `init`. That of an absent task stays as it is.
// Errors: a negative loss makes the objective unbounded (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: Kendall, Gal and Cipolla, CVPR 2018, arXiv 1705.07115.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct UwOptions {
  // Per task "gaussian", "classification" or "laplace"; one entry stands for all tasks.
  std::vector<std::string> kind = {"gaussian"};
  double lr = 0.025;    // Adam's step on s (β = 0.9, 0.999, no weight decay); 0 freezes s
  double init = 0.0;    // first value of s
  double clamp = 10.0;  // |s| never exceeds this

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_uw();

}  // namespace detente::balance
