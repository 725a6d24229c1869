// SPDX-License-Identifier: Apache-2.0
// The exact Gram matrix in little memory. The K backward passes go through the graph side by side,
// one stretch of layers after the other: when all tasks have passed a stretch, its parameters'
// gradients give their part of the Gram matrix and are dropped. What is kept between stretches is
// one tensor per task, the gradient at the border. The direction then takes one weighted pass.
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/task_blocks.h>

#include <cstddef>
#include <vector>

namespace detente::autograd {

// A stretch ends where the graph is one node wide (between two layers, not inside a residual
// block), no weight is used on both sides and no hook of the user's is set.
struct Stretch {
  std::vector<int> parameters;  // the shared ones used in it
  std::vector<Edge> border;     // edges into the one node below it; empty for the last
  std::int64_t numbers = 0;     // in all its parameters
};

// Stretches of at most `numbers` parameters each where the graph allows it.
std::vector<Stretch> find_stretches(const TensorList& losses,
                                    const TensorList& shared,
                                    std::int64_t numbers);

// How far each task's pass has come, stretch after stretch: edges of the graph and the gradients
// there. Starts at the losses.
class Fronts {
 public:
  explicit Fronts(const StepTensors& step);

  // Task k's pass from where it is to `border`, where the next one starts. Returns the gradients at
  // `wanted`, undefined where the task does not reach. Tasks may pass side by side.
  TensorList pass(std::size_t k,
                  const std::vector<Edge>& border,
                  std::vector<Edge> wanted,
                  bool keep_graph);

 private:
  std::vector<std::vector<Edge>> edges_;
  std::vector<TensorList> gradients_;
};

// Fills in the Gram matrix, the tasks' own gradients and `reached`. The graph stays whole for the
// weighted pass. `numbers`: see find_stretches; at most K times as many gradients are in memory.
void form_lockstep(const StepTensors& step, std::int64_t numbers, TaskBlocks& blocks);

}  // namespace detente::autograd
