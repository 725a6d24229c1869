// SPDX-License-Identifier: Apache-2.0
// Per-task gradients layer by layer. Two cases:
//   segmented: every task has its own examples in one joint batch, so one backward pass of the
//     summed losses carries all tasks' output gradients, each at its own examples, and a layer's
//     weight gradient is formed per task from those: the arithmetic of plain training;
//   ghost: all tasks look at the same examples, so K passes through the layers are needed, but a
//     layer with few rows needs no weight gradient in them: its part of the Gram matrix follows
//     from inputs and output gradients, and one weighted weight gradient follows the solve.
// Embeddings keep the gradients of the entries that the batch touches and nothing else.
#pragma once

#include <detente/autograd/example_finder.h>
#include <detente/autograd/layer_plan.h>
#include <detente/autograd/row_chain.h>
#include <detente/autograd/task_blocks.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace detente::autograd {

enum class LayeredMode {
  kAuto,  // segmented where the tasks have examples of their own, else ghost where its cost rule
          // says so
  kSegmented,
  kGhost,  // every layer that allows it
};

class LayeredGradients {
 public:
  // False, having done nothing that lasts, when the graph does not allow it; `why` then says so.
  bool form(const StepTensors& step, LayeredMode mode, TaskBlocks& blocks, std::string& why);

  // Which of the two the last form() was.
  bool segmented() const { return segmented_; }

 private:
  bool try_modes(LayeredMode mode, std::string& why);
  void make_blocks();
  at::Tensor block_of(int parameter) const;  // [K, n] where formed by hand
  EmbeddingTable* table_of(const LayerUse& use);
  // Drops what belongs to the step.
  void release();
  // segmented.cpp
  bool plan_segmented(std::string& why);
  void pass_segmented();
  TensorList pass_segments(const std::function<UseBlocks(const LayerUse&)>& blocks_of);
  bool needs_graph_after() const;
  void pass_named();
  void pass_batch_free(std::vector<bool>& written);
  // ghost.cpp
  bool form_ghost(GhostRule rule);
  void pass_part(const PlanPart& part,
                 bool first,
                 bool last,
                 class Fronts& fronts,
                 std::vector<std::vector<char>>& reached);
  void take_pass(std::size_t task, const PlanPart& part, const TensorList& found);
  void take_use(std::size_t task,
                std::size_t use,
                const at::Tensor& gradient,
                std::vector<bool>& written);

  std::optional<StepTensors> step_;  // refers to what outlives the step
  bool segmented_ = false;
  Graph graph_;
  ExampleFinder finder_;
  std::vector<LayerInput> inputs_;  // per use
  TensorList batch_free_;           // [K, n] per batch-free tensor, as block_of()
  LayerPlan plan_;
  TaskBlocks* blocks_ = nullptr;
};

}  // namespace detente::autograd
