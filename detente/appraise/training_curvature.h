// SPDX-License-Identifier: Apache-2.0
// The curvature of the whole training loss at a run's parameters, as products with vectors:
//
//   L(θ) = Σ_k L_k(θ), L_k the mean of task k's loss (with the factor tasks.weight) over the training
//   rows with a target of it; balancing methods and weight decay have no part in it
//   G = Σ_k 1/n_k Σ_i Jᵢᵀ H_i^k Jᵢ
//
// J the derivative of what the model says of row i in its parameters, H_i^k that of the loss's gradient in
// what the model says: the Gauss-Newton matrix (Schraudolph 2002), without negative eigenvalues for
// losses that are convex in what the model says, and the Hessian itself for models that are linear in
// their parameters. Losses of whole columns (correlation) are means over batches of the recipe's size.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/appraise/judged.h>
#include <detente/valuation/damped_solve.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace detente::appraise {

// The losses of one batch of training rows.
struct TrainingBatch {
  data::RowList rows;
  train::TaskLosses losses;
  at::Tensor part;  // of L, with its graph; undefined where no row has a target
};

class TrainingCurvature {
 public:
  // Of judged.parameters() with the subject's training rows; both outlive it. A pass over the rows counts
  // their targets. Throws kNumeric naming the task for a loss that is not finite, kInvalidArgument where
  // no row has a target.
  TrainingCurvature(const Judged& judged, const data::Source& training);

  std::size_t size() const { return size_; }  // P
  const TensorList& parameters() const { return parameters_; }
  // Rows with a target, per task.
  const std::vector<double>& rows() const { return rows_; }

  // G v for each, by two passes through the network for each batch and two more for each vector. Throws
  // kUnsupported for operations whose gradient has no derivative.
  std::vector<valuation::Vector> operator()(std::span<const valuation::Vector> vectors) const;

  // All batches in turn, each with its graph; until `look` says false.
  void each_batch(const std::function<bool(const TrainingBatch&)>& look) const;

  // All parameters' numbers in one row, 0 for undefined ones; and back, in the parameters' type.
  valuation::Vector flat(const TensorList& tensors) const;
  TensorList shaped(const valuation::Vector& vector) const;

 private:
  const Judged& judged_;
  const data::Source& training_;
  TensorList parameters_;
  std::size_t size_ = 0;
  std::vector<double> rows_;
};

// H z for each z, H the derivative of part's gradient in what the model says; `predictions` are those
// of the batch that have a graph. Undefined: 0.
std::vector<TensorList> curve_predictions(const at::Tensor& part,
                                          const TensorList& predictions,
                                          const std::vector<TensorList>& along);

// Those with a graph.
TensorList followed_predictions(const train::TaskLosses& losses);

}  // namespace detente::appraise
