// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/tensor/graph_compat.h>

namespace detente::tensor {

std::vector<std::int64_t> shape_at(const torch::autograd::Node& node, std::uint32_t input) {
  return as_ints(node.input_metadata(input).shape_as_dim_vector());
}

decltype(torch::autograd::Edge::function) owner_of(torch::autograd::Node& node) {
  return node.getptr();
}

bool has_hooks(torch::autograd::Node& node) {
  return !node.tensor_pre_hooks().empty() || !node.retains_grad_hooks().empty() ||
         !node.pre_hooks().empty() || !node.post_hooks().empty();
}

}  // namespace detente::tensor
