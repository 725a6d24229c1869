// SPDX-License-Identifier: Apache-2.0
// Smooth Tchebycheff scalarisation: the gradient of a smooth maximum of the weighted losses.
//
// Objective: μ log Σ_i exp(λ_i (L_i − z_i)/μ), λ the preference (sums to 1), z the ideal losses;
// w_i = λ_i softmax_i(λ (L − z)/μ). It lies between the weighted maximum and that plus μ log k.
// Why the plain thing fails: a weighted sum cannot reach the Pareto points of a non-convex front;
// the maximum can, but is not smooth.
// Limits: μ -> 0 gives all weight to the worst task (times λ); μ -> ∞ gives λ_i/k; k = 1 -> w = 1;
// equal preferences and losses -> 1/k². Losses must be comparable: they are not rescaled here.
// Cost: O(k). Class L.
// Paper: Lin, Zhang, Yang, Liu, Wang and Zhang, ICML 2024, arXiv 2402.19078.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct StchOptions {
  double mu = 1.0;                 // smoothing μ > 0, in the unit of the weighted losses
  std::vector<double> preference;  // λ, one per task, >= 0, normalised to sum 1; empty = 1/k
  std::vector<double> ideal;       // z, one per task; empty = 0

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_stch();

}  // namespace detente::balance
