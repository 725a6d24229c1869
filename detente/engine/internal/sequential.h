// SPDX-License-Identifier: Apache-2.0
// The plain way: one backward pass per task, each gradient a row of a K×P matrix. Works for every
// model, and every other strategy is tested against it.
#pragma once

#include <detente/engine/internal/task_gradients.h>

namespace detente::engine::internal {

class SequentialGradients {
 public:
  void form(const StepTensors& step, TaskGradients& result);
  // The gradients formed last, [k, P].
  at::Tensor rows() const { return rows_; }
  // d = Σ_k w_k ∇L_k into `direction` [P].
  void combine(const std::vector<double>& weights, at::Tensor& direction) const;

 private:
  at::Tensor jacobian_;  // [K, P], kept between steps
  at::Tensor rows_;
};

// Gradients of Σ_i factors[i]·losses[i] with respect to `parameters`; undefined where not reached.
TensorList weighted_gradients(const TensorList& losses,
                              const std::vector<double>& factors,
                              const TensorList& parameters,
                              bool keep_graph);

// A gradient may be an expanded tensor or lie in memory that others see (the graph hands the same
// tensor to both arguments of a sum); .grad must be its parameter's own.
at::Tensor owned(const at::Tensor& gradient, const at::Tensor& parameter);

}  // namespace detente::engine::internal
