// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/autograd/activations.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <string>
#include <unordered_map>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;

template <class Op>
at::Tensor saved_result(Node& node) {
  return static_cast<Op&>(node).result_.unpack(tensor::owner_of(node));
}
template <class Op>
at::Tensor saved_self(Node& node) {
  return static_cast<Op&>(node).self_.unpack();
}

}  // namespace

const Activation* activation_of(Node& node) {
  static const std::unordered_map<std::string, Activation> known = {
      {"ReluBackward0",
       {saved_result<gen::ReluBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::threshold_backward_out(in, out, saved, 0);
        },
        /*rectifier=*/true}},
      {"TanhBackward0",
       {saved_result<gen::TanhBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::tanh_backward_out(in, out, saved);
        }}},
      {"SigmoidBackward0",
       {saved_result<gen::SigmoidBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::sigmoid_backward_out(in, out, saved);
        }}},
      {"SiluBackward0",
       {saved_self<gen::SiluBackward0>,
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::silu_backward_out(in, out, saved);
        }}},
      {"GeluBackward0",
       {saved_self<gen::GeluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& gelu = static_cast<const gen::GeluBackward0&>(node);
          at::gelu_backward_out(in, out, saved, gelu.approximate);
        }}},
      {"LeakyReluBackward0",
       {saved_self<gen::LeakyReluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& leaky = static_cast<const gen::LeakyReluBackward0&>(node);
          at::leaky_relu_backward_out(in, out, saved, leaky.negative_slope, false);
        }}},
      {"EluBackward0",
       {saved_self<gen::EluBackward0>,
        [](const Node& node, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          const auto& elu = static_cast<const gen::EluBackward0&>(node);
          at::elu_backward_out(
              in, out, elu.alpha, elu.scale, elu.input_scale, /*is_result=*/false, saved);
        }}},
      // Dropout: times a mask.
      {"MulBackward0",
       {[](Node& node) { return static_cast<gen::MulBackward0&>(node).other_.unpack(); },
        [](const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved) {
          at::mul_out(in, out, saved);
        }}},
  };
  const auto found = known.find(node.name());
  if (found == known.end() || !node.next_edge(0).is_valid()) return nullptr;
  for (std::size_t e = 1; e < node.num_outputs(); ++e) {
    if (node.next_edge(e).is_valid()) return nullptr;
  }
  if (node.name() == "MulBackward0") {
    // Times something of another shape or type is no mask.
    const at::Tensor mask = found->second.saved(node);
    const bool fits = mask.defined() && mask.sizes().vec() == tensor::shape_at(node, 0) &&
                      c10::isFloatingType(mask.scalar_type());
    if (!fits) return nullptr;
  }
  return &found->second;
}

}  // namespace detente::autograd
