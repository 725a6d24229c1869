// SPDX-License-Identifier: Apache-2.0
// Heads that start from what is linear in the trunk's features: linear probing before fine-tuning
// (Kumar et al., ICLR 2022, arXiv 2202.10054), so that the first steps need not change what a
// published model knows to make up for heads that know nothing.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/data/source.h>
#include <detente/nn/model.h>

#include <cstddef>
#include <span>

namespace detente::nn {

// Ridge regression with an intercept, W = argmin Σ |W x + b − t|² + λ |W|², of all columns with the
// strength λ whose leave-one-out error is the smallest (in closed form: the residual over 1 − the
// row's leverage; Allen 1974). λ is one of 25 from 1e-10 to 100 times the largest eigenvalue of the
// features' scatter matrix.
struct Ridge {
  at::Tensor weight;    // [C, F] float64
  at::Tensor bias;      // [C]
  at::Tensor held_out;  // [N, C]: each row's prediction from all the others
  double strength = 0;  // λ
};
// features [N, F] and targets [N, C], finite, N >= 2, any floating dtype. Throws kShape otherwise.
// Costs O(N F min(N, F) + min(N, F)³).
Ridge fit_ridge(const at::Tensor& features, const at::Tensor& targets);

// The logistic curve over one score, σ(slope s + offset), of targets 0 and 1, both there, by Newton's
// method; a weak ridge keeps the slope finite where the score divides the classes.
struct Logistic {
  double slope = 1;
  double offset = 0;
};
Logistic fit_logistic(std::span<const double> scores, std::span<const double> targets);

// How much to trust class scores [N, C]: the factor whose softmax makes `classes` [N] (int64) most
// likely; >= 0.
double fit_temperature(const at::Tensor& scores, const at::Tensor& classes);

// Sets the heads, which must have started from the training targets (Model::start_from): regression by
// ridge regression, binary by that of 0 and 1 and a logistic curve over its held-out scores, classes
// by that of each against the rest and one factor. At most `rows` training examples, evenly spread, go
// through the trunk, `batch` at a time. Heads with fewer than two known targets, with constant ones or
// with more than 1000 classes stay. Returns how many heads were set.
std::size_t probe_heads(Model& model,
                        const data::Source& training,
                        std::size_t batch,
                        std::size_t rows = 10000);

}  // namespace detente::nn
