// SPDX-License-Identifier: Apache-2.0
// What is read from the autograd graph behind the losses: where the shared parameters are applied,
// by which layers, and which examples of each layer's input belong to which task.
//
// Nothing is added to the graph and nothing taken from it. A layer's output gradient is asked of
// LibTorch like any other gradient (Engine::execute with the edge into the layer's node); as the
// layer's parameters are not asked for, no parameter gradient is computed on the way.
#pragma once

#include <detente/autograd/batch_flow.h>
#include <detente/autograd/example_tasks.h>
#include <detente/autograd/graph_nodes.h>

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace detente::autograd {

// What leads to a node from the losses' side.
struct Above {
  Node* node = nullptr;  // one of them; null where a loss starts
  int edges = 0;
};

// A tensor that is the same for all examples and computed from shared parameters (a position table,
// relative positions, weight norm, a low-rank product), where the batch meets it.
struct BatchFree {
  Edge edge;                    // asking for its gradient gives that of the tensor
  std::vector<int> parameters;  // the shared ones it is computed from

  Shape shape() const;
  at::TensorOptions options() const;
};

struct Graph {
  std::vector<LayerUse> uses;
  // Uses take them for parameters: number shared.size() + i. Found where `examples` are.
  std::vector<BatchFree> batch_free;
  std::unordered_map<const Node*, Above> above;  // of every node behind the losses
  // Per shared parameter: does every path to it lead through `uses` (of it, or of what is computed
  // from it)? If not, its gradient must be asked for by its name. And per batch-free tensor: does
  // every place where the batch meets it stand in `uses`?
  std::vector<bool> handled;
  // The kind of the node that stands in the way, for a notice; empty where handled.
  std::vector<std::string> unhandled_by;
  // The kind of the node below which the batch could not be followed, for a notice; may be empty.
  std::string batch_lost_at;
  // The tensors on the border between the part of the graph that one loss depends on and the part
  // that several do: the shared representation.
  std::vector<Edge> features;
  // Some of them are made from others (a gate looks at what experts take): the gradient at the lower one
  // holds what reaches it through the upper one as well, so that a pass started at all of them would
  // count that twice.
  bool features_nested = false;
  // From slices of the border along the batch, or as given; empty when they tell nothing.
  ExampleTasks examples;
  // A shared parameter acts above the border, or the border passes through parameters only.
  bool heads_use_shared = false;

  // `by` does with the parameter what no layer's rule knows.
  void refuse(int parameter, const Node& by);
  // Where tasks are passed one after the other such tensors are as good as any other.
  void forget_batch_free();
};

// `given`: task of each example (index of a present task, -1: none), or empty to read it from the
// graph. The graph must stay alive as long as the result.
Graph read_graph(const TensorList& losses,
                 const TensorList& shared,
                 std::span<const std::int64_t> given,
                 BatchFlow::Statistics statistics = BatchFlow::Statistics::kMix);

}  // namespace detente::autograd
