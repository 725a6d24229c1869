// SPDX-License-Identifier: Apache-2.0
// Agreement on ids whose order has a meaning.
#pragma once

#include <detente/metrics/metrics.h>

namespace detente::metrics {

// Cohen's kappa with weights (p − t)² (1968): κ = 1 − Σ_i (p_i − t_i)² / [(1/n) Σ_i Σ_j (p_i − t_j)²],
// 1 for perfect agreement, 0 for that of predictions dealt out at random, below 0 for less. It says the
// same for ids counted from anywhere, and how many classes there are does not matter. Undefined when
// all predictions and targets are one class, where nothing can disagree.
Score quadratic_kappa(Values predictions, Values targets);

}  // namespace detente::metrics
