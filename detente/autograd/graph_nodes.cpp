// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/graph_nodes.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/csrc/autograd/variable.h>

#include <string>

namespace detente::autograd {

std::int64_t numel(const Shape& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

std::int64_t stride_of(const Shape& shape, std::size_t dim) {
  std::int64_t n = 1;
  for (std::size_t d = dim + 1; d < shape.size(); ++d) n *= shape[d];
  return n;
}

std::size_t wrap(std::int64_t dim, std::size_t dims) {
  return static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(dims) : dim);
}

Edge edge_of(const at::Tensor& tensor) { return torch::autograd::impl::gradient_edge(tensor); }

bool is_leaf(const Node& node) {
  return dynamic_cast<const torch::autograd::AccumulateGrad*>(&node) != nullptr;
}

Repeat read_repeat(const Node& node) {
  const auto& repeat = static_cast<const torch::autograd::generated::RepeatBackward0&>(node);
  Repeat result{.times = tensor::as_ints(repeat.repeats),
                .sizes = tensor::as_ints(repeat.self_sym_sizes)};
  result.sizes.insert(result.sizes.begin(), result.times.size() - result.sizes.size(), 1);
  return result;
}

const Node* parameter_behind(const Node* node) {
  while (!is_leaf(*node)) {
    if (node->num_outputs() != 1 || !node->next_edge(0).is_valid()) return nullptr;
    node = node->next_edge(0).function.get();
  }
  return node;
}

SharedParameters::SharedParameters(const TensorList& shared) : shared_(shared) {
  for (std::size_t i = 0; i < shared.size(); ++i) {
    index_of_[edge_of(shared[i]).function.get()] = static_cast<int>(i);
  }
}

Source SharedParameters::behind(const Edge& edge) const {
  Source source{.end = edge};
  for (;;) {
    const Node* node = source.end.function.get();
    const auto found = index_of_.find(node);
    if (found != index_of_.end()) {
      source.parameter = found->second;
      return source;
    }
    const std::string name = node->name();
    if (name == "TBackward0") {
      ++source.transpositions;
    } else if (name != "ToCopyBackward0" && name != "AliasBackward0") {
      return source;
    }
    if (node->num_outputs() != 1 || !node->next_edge(0).is_valid()) return source;
    source.end = node->next_edge(0);
  }
}

bool SharedParameters::carried_by(const Node& node) const {
  const std::string name = node.name();
  if (name != "TBackward0" && name != "ToCopyBackward0" && name != "AliasBackward0") return false;
  return node.next_edge(0).is_valid() && behind(node.next_edge(0)).parameter >= 0;
}

Edge LayerUse::output() const { return Edge(tensor::owner_of(*node), 0); }

}  // namespace detente::autograd
