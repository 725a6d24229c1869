// SPDX-License-Identifier: Apache-2.0
// Smooth Tchebycheff scalarisation: the gradient of a smooth maximum of the weighted losses.
//
// Objective: μ log Σ_i exp(λ_i (f_i − z_i)/μ), λ the preference (sums to 1), z the ideal losses,
// f = L; w_i = λ_i softmax_i(λ (f − z)/μ). It lies between the weighted maximum and that plus
// μ log k.
// With losses = log_ratio instead f_i = log(L_i/ref_i), w_i = λ_i softmax_i(λ (f − z)/μ)/L_i, and
// ref_i is the mean loss of a stretch of the task's first steps; until all tasks present have
// theirs, w_i = 1/L_i. With scale = tasks λ sums to k and the objective is multiplied by k.
// Why the plain thing fails: a weighted sum cannot reach the Pareto points of a non-convex front;
// the maximum can, but is not smooth.
// Limits: μ -> 0 gives all weight to the worst task (times λ); μ -> ∞ gives λ_i/k; k = 1 -> w = 1;
// equal preferences and losses -> 1/k². Raw losses must be comparable; log-ratios always are.
// State: none with raw losses; else step counts and mean losses, per task. Those of an absent task
// stay as they are.
// Errors: with log_ratio a loss <= 0 (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: Lin, Zhang, Yang, Liu, Wang and Zhang, ICML 2024, arXiv 2402.19078.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct StchOptions {
  enum class Losses { kRaw, kLogRatio };
  enum class Scale { kOne, kTasks };

  Preset preset = Preset::kPaper;
  double mu = 1.0;                 // smoothing μ > 0, in the unit of the weighted losses
  std::vector<double> preference;  // λ, one per task, >= 0, normalised; empty = equal
  std::vector<double> ideal;       // z, one per task, in the unit of f; empty = 0
  Losses losses = Losses::kRaw;    // official_code: log_ratio
  Scale scale = Scale::kOne;       // official_code: tasks
  std::int64_t warmup = 0;         // steps of a task before those of its reference
  std::int64_t reference = 25;     // steps its reference is averaged over

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_stch();

}  // namespace detente::balance
