// SPDX-License-Identifier: Apache-2.0
// The plain way: one backward pass per task, each gradient a row of a K×P matrix. Works for every
// model, and every other strategy is tested against it.
#pragma once

#include <detente/autograd/task_gradients.h>

namespace detente::autograd {

class SequentialGradients {
 public:
  void form(const StepTensors& step, TaskGradients& result);
  // Goes on as if form() had found `rows` [k, P]; fills in the Gram matrices.
  void adopt(const at::Tensor& rows, const StepTensors& step, TaskGradients& result);
  // The gradients formed last, [k, P].
  at::Tensor rows() const { return rows_; }
  // d = Σ_k w_k ∇L_k into `direction` [P].
  void combine(const ParameterWeights& weights,
               const tensor::FlatLayout& layout,
               at::Tensor& direction) const;

 private:
  at::Tensor jacobian_;  // [K, P], kept between steps
  at::Tensor rows_;
};

}  // namespace detente::autograd
