// SPDX-License-Identifier: Apache-2.0
// What the engine reads from the autograd graph behind the losses: where the shared parameters are
// applied, by which layers, and which rows of each layer's input belong to which task.
//
// Nothing is added to the graph and nothing taken from it. A layer's output gradient is asked of
// LibTorch's engine like any other gradient (Engine::execute with the edge into the layer's node);
// as the layer's parameters are not asked for, no parameter gradient is computed on the way.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace detente::engine::internal {

using torch::autograd::Edge;
using torch::autograd::Node;

enum class LayerKind {
  kLinear,       // y = x Wᵀ (+ b), rows of features
  kConvolution,  // 1, 2 or 3 spatial dimensions
  kEmbedding,
  kScaleShift,  // y = x̂ ⊙ γ + β: LayerNorm, GroupNorm, RMSNorm, BatchNorm; or a product or sum with
                // a parameter
};

// One place in the graph where shared parameters act. Parameters are indices into the list the
// engine was given, -1 where there is none (or where it is no shared one).
struct LayerUse {
  LayerKind kind = LayerKind::kLinear;
  Node* node = nullptr;
  int weight = -1;
  int bias = -1;
  bool weight_is_out_in = true;  // Linear: W as [out, in], as torch::nn::Linear keeps it
  int side = 0;                  // ScaleShift by a sum or product: which argument is the parameter
  // The batch's place in the output: how many elements, in row-major order, lie between an entry of
  // one example and the same entry of the next. 0: unknown, or examples have been mixed.
  std::int64_t inner = 0;

  Edge output() const;  // asking for its gradient gives that of the layer's output
};

// Which examples belong to which task.
struct RowAssignment {
  std::vector<std::int64_t> task_of_row;  // index of a present task, or -1
  bool contiguous = false;                // every task's examples are one block
  std::vector<std::int64_t> begin;        // per task, when contiguous
  std::vector<std::int64_t> end;

  std::int64_t size() const { return static_cast<std::int64_t>(task_of_row.size()); }
  // Fills in the rest from task_of_row.
  void find_blocks(std::size_t tasks);
};

// What leads to a node from the losses' side.
struct Above {
  Node* node = nullptr;  // one of them; null where a loss starts
  int edges = 0;
};

struct Graph {
  std::vector<LayerUse> uses;
  std::unordered_map<const Node*, Above> above;  // of every node behind the losses
  // Per shared parameter: does every path to it lead through `uses`? If not, its gradient must be
  // asked for by its name.
  std::vector<bool> handled;
  // The kind of the node that stands in the way, for a notice; empty where handled.
  std::vector<std::string> unhandled_by;
  // The tensors on the border between the part of the graph that one loss depends on and the part
  // that several do: the shared representation.
  std::vector<Edge> features;
  // From slices of the border along the batch, or as given; empty when they tell nothing.
  RowAssignment rows;
  // A shared parameter acts above the border, or the border passes through parameters only.
  bool heads_use_shared = false;
};

// `given`: task of each example (index of a present task, -1: none), or empty to read it from the
// graph. The graph must stay alive as long as the result.
Graph read_graph(const TensorList& losses,
                 const TensorList& shared,
                 std::span<const std::int64_t> given);

// The parameter that `node` does nothing but bring (transposed, cast) to where it is used; null
// when it does more.
const Node* parameter_behind(const Node* node);

// Runs LibTorch's engine from `roots` and returns the gradients at `wanted`, undefined where the
// roots do not reach them.
TensorList gradients_at(const std::vector<Edge>& roots,
                        const TensorList& root_gradients,
                        const std::vector<Edge>& wanted,
                        bool keep_graph);

}  // namespace detente::engine::internal
