// SPDX-License-Identifier: Apache-2.0
// LAVA (Just et al., ICLR 2023): training examples by how much moving weight to them would shorten
// the way between the training set and a validation set. Needs features and labels, no model.
//
//   C_ij = ‖x_i − x'_j‖² + label_weight · W²(y_i, y'_j)
//
// is what moving example i to validation row j costs. W² is the squared 2-Wasserstein distance
// between the features of two classes, those of y_i among the training and of y'_j among the
// validation rows, taken as Gaussians without covariances: ‖μ − μ'‖² + ‖σ − σ'‖². For numbers it is
// (y_i − y'_j)²: scale them to the features.
//
// The entropic transport problem between the uniform weights of both sides,
//   min_P ⟨P, C⟩ + ε Σ P_ij log(P_ij n m),
// is solved by Sinkhorn's iterations on logarithms; with its dual f of the training side
//   value_i = −(f_i − mean_{j≠i} f_j)
// is minus the derivative of the minimum as weight moves to i from all others alike. Values sum to
// 0; they depend on ε and on the features, and find wrong labels less well than neighbours do.
#pragma once

#include <detente/valuation/estimate.h>

#include <cstddef>
#include <span>

namespace detente::valuation {

// NaN: not labelled, and left out on either side. Both empty: features alone.
struct LavaTask {
  std::span<const double> labels;             // n
  std::span<const double> validation_labels;  // m
  bool classes = true;                        // class ids; false: numbers
};

struct LavaOptions {
  double label_weight = 1;
  double epsilon = 0.05;    // of the mean cost
  double tolerance = 1e-6;  // on the marginal error
  int max_iterations = 5000;
  int threads = 0;                  // 0: all cores; the result does not depend on it
  std::size_t memory = 2ULL << 30;  // bytes that the costs may take, 4 n m
  Progress progress = {};           // in iterations
};

struct LavaValues {
  Estimate estimate;          // standard errors NaN; counts the validation rows, 0 if left out
  double transport_cost = 0;  // ⟨P, C⟩
  double mean_cost = 0;       // of all pairs
  double marginal_error = 0;  // Σ_i |Σ_j P_ij − 1/n| before the last iteration
  int iterations = 0;
  bool converged = false;  // within the tolerance; else the values are those so far
};

// Throws kShape for sizes that do not fit or no labelled row on a side, kInvalidArgument for
// options out of range, and for more pairs than `memory` holds (naming how many validation rows it
// does), kNumeric naming the row for features or labels that are not finite. An iteration costs
// 2 n m exponentials.
LavaValues lava(std::span<const float> train,
                std::span<const float> validation,
                std::size_t width,
                const LavaTask& task,
                const LavaOptions& options = {});

}  // namespace detente::valuation
