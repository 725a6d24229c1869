// SPDX-License-Identifier: Apache-2.0
// What a way to the K gradients of a step is given, and what the tasks' gradients count in the end.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/graph_nodes.h>
#include <detente/tensor/flatten.h>
#include <detente/tensor/group.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::autograd {

// The present tasks of a step, k of them. Views outlive the strategy's use of them.
struct StepTensors {
  const TensorList& losses;                // k scalars with their graphs
  const TensorList& shared;                // trainable shared parameters
  const std::vector<TensorList>& own;      // k lists: trainable parameters of one task
  const tensor::FlatLayout& layout;        // of `shared`
  std::span<const std::int64_t> examples;  // task of each example, or empty
  std::span<const int> groups = {};        // group of each of `shared`; empty: none wanted
  double scale = 1.0;         // what the losses are multiplied by in the passes (see LossScaling)
  bool side_by_side = false;  // passes that do not depend on each other, on several threads
  std::int64_t sketch = 0;    // columns of a random projection, see GhostLayer; 0: none
  bool sketch_apart = false;  // the exact Gram matrix as well, the sketch into `estimate`
  std::uint64_t seed = 0;     // of the sketch
  // Every task's whole gradient is wanted, in one matrix or by write_to(), and no Gram matrix.
  bool in_full = false;
  // Every task's whole gradient is wanted beside the Gram matrix, in every process.
  bool coordinates = false;
  tensor::Group* group = nullptr;  // null: this process alone
  bool replicated = false;         // each process keeps all columns of the sum, not its part
  // All processes make a pass per task, so they can add up each gradient when it is there.
  bool in_step = false;
  // Tasks of which this process has no examples, but others have: their losses here are 0 and reach nothing.
  // Empty: none.
  std::vector<bool> elsewhere = {};

  bool is_here(std::size_t task) const { return elsewhere.empty() || !elsewhere[task]; }

  bool spread() const { return group != nullptr && group->size() > 1; }
};

// Where the passes start, and with what.
std::vector<Edge> roots_of(const TensorList& losses);
TensorList starts_for(const StepTensors& step);

// What each task's gradient counts in the direction, for every shared parameter: one list for all,
// or one per group of parameters.
struct ParameterWeights {
  std::vector<std::vector<double>> lists;  // k numbers each
  std::span<const int> group_of = {};      // per shared parameter; empty: lists[0] for all

  // Its place in `lists`.
  std::size_t list_of(std::size_t parameter) const {
    return group_of.empty() ? 0 : static_cast<std::size_t>(group_of[parameter]);
  }
  const std::vector<double>& of(std::size_t parameter) const { return lists[list_of(parameter)]; }
  bool same(std::size_t parameter, std::size_t other) const {
    return list_of(parameter) == list_of(other);
  }
};

}  // namespace detente::autograd
