// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/tensor/graph_compat.h>
#include <torch/version.h>

namespace detente::tensor {

#if TORCH_VERSION_MAJOR < 2
namespace {

using GraphMetadata = torch::autograd::InputMetadata;

// 1.13 keeps the shape private and offers only a tensor of zeros made from it, as large as the
// activation. An explicit instantiation may name a private member, which is the language's own way
// to it.
c10::SymIntArrayRef metadata_shape(const GraphMetadata& metadata);
template <c10::SymIntArrayRef (GraphMetadata::*kShape)() const>
struct GraphMetadataShape {
  friend c10::SymIntArrayRef metadata_shape(const GraphMetadata& metadata) {
    return (metadata.*kShape)();
  }
};
template struct GraphMetadataShape<&GraphMetadata::shape_as_dim_vector>;

}  // namespace
#endif

std::vector<std::int64_t> shape_at(const torch::autograd::Node& node, std::uint32_t input) {
  const auto& metadata = node.input_metadata(input);
#if TORCH_VERSION_MAJOR < 2
  return as_ints(metadata_shape(metadata));
#else
  return as_ints(metadata.shape_as_dim_vector());
#endif
}

decltype(torch::autograd::Edge::function) owner_of(torch::autograd::Node& node) {
#if TORCH_VERSION_MAJOR < 2
  return node.shared_from_this();
#else
  return node.getptr();
#endif
}

bool has_hooks(torch::autograd::Node& node) {
#if TORCH_VERSION_MAJOR >= 2
  if (!node.tensor_pre_hooks().empty() || !node.retains_grad_hooks().empty()) return true;
#endif
  return !node.pre_hooks().empty() || !node.post_hooks().empty();
}

}  // namespace detente::tensor
