// SPDX-License-Identifier: Apache-2.0
// A layer whose weight gradients are never formed, one per task: what is kept are its input's rows
// and each task's gradients at its output. Its part of the Gram matrix follows from these, exactly
// or by a sketch (a random projection), and the direction from one weighted weight gradient.
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/layers/layer_rule.h>
#include <detente/autograd/step_tensors.h>

#include <cstddef>
#include <vector>

namespace detente::autograd {

class TaskBlocks;

// All uses of one weight, by layers of one kind.
struct GhostLayer {
  int weight = -1;
  int bias = -1;  // -1 where it is formed apart
  std::vector<std::size_t> uses;
  at::Tensor rows;        // x of all uses
  TensorList gradients;   // per task, δ of all uses; until joined per task and use
  bool sketched = false;  // the part of the Gram matrix is estimated:
  TensorList projected;   // per use, xΩ [R, n]
  at::Tensor sketch;      // [K, out·n], per task δᵀxΩ, see add_narrow_product

  // Before the passes.
  void prepare(const StepTensors& step, const Graph& graph, const std::vector<LayerInput>& inputs);
  // Place of a task's gradient at a use in `gradients`.
  std::size_t place_of(std::size_t task, std::size_t use) const;
  // After them: everything of one task becomes one tensor, a use below the other, those a task does
  // not reach as zeros.
  void join(const StepTensors& step, const Graph& graph, const std::vector<LayerInput>& inputs);
  // Adds the layer's part of the Gram matrix.
  void add_gram(const StepTensors& step, TaskBlocks& blocks) const;
  // Σ_k w_k δ_k, undefined where no task reaches the layer.
  at::Tensor weighted(const std::vector<double>& weights) const;

 private:
  at::Tensor projection(const StepTensors& step) const;
  void add_sketch(const StepTensors& step, TaskBlocks& blocks) const;
};

}  // namespace detente::autograd
