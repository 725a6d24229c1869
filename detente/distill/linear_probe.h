// SPDX-License-Identifier: Apache-2.0
// What frozen features are worth to a linear classifier: softmax regression on features that are
// standardised by the training rows' means and deviations (a constant column becomes 0),
//
//   min over W, b of  1/n Σ_i −ln softmax(W x_i + b)_{y_i} + λ/2 |W|²
//
// in float64 by Newton's method with conjugate gradients (Lin, Weng, Keerthi, JMLR 2008): convex,
// so that there is one answer, and no seed, rate or number of epochs takes part. λ > 0 keeps it
// finite where the classes are separable.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::distill {

struct LinearFit {
  at::Tensor mean, scale;             // [d] float64: x = (f − mean) / scale
  at::Tensor weight, bias;            // [C, d], [C] float64
  std::vector<std::int64_t> classes;  // of the training rows, ascending: C of them
  double gradient_norm = 0;           // Euclidean, of the objective at the answer
  std::int64_t steps = 0;             // of Newton's method
};

// Features [n, d], a label for each row (any integers), ridge = λ > 0. Memory: the features in
// float64 and a few tensors [n, C]. Throws kInvalidArgument and kNumeric as knn.h does.
LinearFit fit_linear(const at::Tensor& features,
                     std::span<const std::int64_t> labels,
                     double ridge = 1e-3);

// The share of test rows that the fit puts into their class (of equal logits the lowest); a class
// that no training row has is always wrong.
double linear_accuracy(const at::Tensor& train_features,
                       std::span<const std::int64_t> train_labels,
                       const at::Tensor& test_features,
                       std::span<const std::int64_t> test_labels,
                       double ridge = 1e-3);

}  // namespace detente::distill
