// SPDX-License-Identifier: Apache-2.0
// The words in which the autograd graph behind the losses is read: nodes and edges, shapes, the
// parameter that an edge brings, one place where a layer acts.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace detente::autograd {

using torch::autograd::Edge;
using torch::autograd::Node;
using Shape = std::vector<std::int64_t>;

std::int64_t numel(const Shape& shape);
// Elements between neighbours along `dim` in row-major order.
std::int64_t stride_of(const Shape& shape, std::size_t dim);
// A dimension that may count from the end.
std::size_t wrap(std::int64_t dim, std::size_t dims);

// Where the gradient of a tensor with a graph, or of a parameter, is asked for.
Edge edge_of(const at::Tensor& tensor);
bool is_leaf(const Node& node);

// What a `repeat` node did, per dimension of its output.
struct Repeat {
  Shape times;
  Shape sizes;  // before
};
Repeat read_repeat(const Node& node);

// The parameter that `node` does nothing but bring (transposed, cast) to where it is used; null
// when it does more.
const Node* parameter_behind(const Node* node);

// A parameter may reach its layer through a transposition or a cast.
struct Source {
  int parameter = -1;  // index among the shared ones; -1: none
  int transpositions = 0;
  Edge end;  // past transpositions and casts
};

class SharedParameters {
 public:
  explicit SharedParameters(const TensorList& shared);

  // Follows nodes that carry nothing but one parameter to where it is used.
  Source behind(const Edge& edge) const;
  bool carried_by(const Node& node) const;
  const at::Tensor& operator[](int parameter) const {
    return shared_[static_cast<std::size_t>(parameter)];
  }

 private:
  const TensorList& shared_;
  std::unordered_map<const Node*, int> index_of_;
};

struct LayerRule;

// One place in the graph where shared parameters act. Parameters are indices into the list the
// engine was given, beyond its end into Graph::batch_free, -1 where there is none (or where it is no
// shared one).
struct LayerUse {
  const LayerRule* rule = nullptr;  // of its kind, see layers/layer_rule.h
  Node* node = nullptr;
  int weight = -1;
  int bias = -1;
  bool weight_is_out_in = true;  // Linear: W as [out, in], as torch::nn::Linear keeps it
  int side = 0;                  // a sum or product: which argument is the parameter
  // The batch's place in the output: how many elements, in row-major order, lie between an entry of
  // one example and the same entry of the next. 0: unknown, or examples have been mixed.
  std::int64_t inner = 0;

  Edge output() const;  // asking for its gradient gives that of the layer's output
};

}  // namespace detente::autograd
