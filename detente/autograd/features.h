// SPDX-License-Identifier: Apache-2.0
// Gradients at the shared representation instead of at the shared parameters: one short pass per
// task through its head, then one pass through the trunk. A different objective (MGDA-UB, Sener and
// Koltun 2018, section 3.3): for min-norm problems an upper bound of the exact one.
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/task_blocks.h>

#include <string>

namespace detente::autograd {

class FeatureGradients {
 public:
  // False when the losses share no representation; `why` says so. The Gram matrix is that of the
  // representation's gradients, all examples in a row.
  bool form(const StepTensors& step, TaskBlocks& blocks, std::string& why);
  // [k, n], and the representation's own values in the same order when there is one tensor of them
  // whose values the graph still knows (undefined otherwise).
  at::Tensor rows() const { return rows_; }

  // The shared parameters' gradients for the combined gradient Σ_k w_k rows[k] at the
  // representation, or for `combined` [n] itself when defined. Undefined where not reached.
  TensorList pull_back(const StepTensors& step,
                       const std::vector<double>& weights,
                       const at::Tensor& combined);
  void release();

 private:
  bool form_nothing(const StepTensors& step, TaskBlocks& blocks);

  std::vector<Edge> features_;
  std::vector<std::vector<std::int64_t>> shapes_;
  at::Tensor rows_;
};

}  // namespace detente::autograd
