// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/onnx_layers.h>
#include <torch/types.h>

#include <numeric>

namespace detente::deploy {
namespace {

// Of all sides of what the node takes first: one number stands for all.
Integers sides(const OnnxGraph& graph, const Node& node, std::size_t operand) {
  Integers list = integer_list(graph, node.input(operand));
  const auto count = static_cast<std::size_t>(rank_of(node.input(0)) - 2);
  if (list.size() == 1) list.resize(count, list.front());
  return list;
}

// PyTorch's padding of both ends alike, as ONNX counts them: all begins, then all ends.
Integers both_ends(const Integers& padding) {
  Integers both = padding;
  both.insert(both.end(), padding.begin(), padding.end());
  return both;
}

Value* convolve(const Node& node, OnnxGraph& graph, bool flags) {
  // input, weight, bias, stride, padding, dilation[, transposed, output_padding], groups
  const std::size_t groups = flags ? 8 : 6;
  DETENTE_CHECK(!flags || !graph.known(node.input(6)).toBool(),
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] transposed convolutions have no ONNX form here.");
  std::vector<Value*> operands = {graph.tensor(node.input(0)), graph.tensor(node.input(1))};
  if (!is_none(graph, node.input(2))) operands.push_back(graph.tensor(node.input(2)));
  return graph.node("Conv",
                    operands,
                    {OnnxGraph::attribute("strides", sides(graph, node, 3)),
                     OnnxGraph::attribute("pads", both_ends(sides(graph, node, 4))),
                     OnnxGraph::attribute("dilations", sides(graph, node, 5)),
                     OnnxGraph::attribute("group", integer(graph, node.input(groups)))});
}

}  // namespace

Value* plain_convolution(const Node& node, OnnxGraph& graph) {
  return convolve(node, graph, false);
}
Value* convolution(const Node& node, OnnxGraph& graph) { return convolve(node, graph, true); }

Value* max_pool(const Node& node, OnnxGraph& graph) {
  const Integers kernel = sides(graph, node, 1);
  const Integers stride = integer_list(graph, node.input(2));
  return graph.node(
      "MaxPool",
      {graph.tensor(node.input(0))},
      {OnnxGraph::attribute("kernel_shape", kernel),
       OnnxGraph::attribute("strides", stride.empty() ? kernel : sides(graph, node, 2)),
       OnnxGraph::attribute("pads", both_ends(sides(graph, node, 3))),
       OnnxGraph::attribute("dilations", sides(graph, node, 4)),
       OnnxGraph::attribute("ceil_mode", graph.known(node.input(5)).toBool() ? 1 : 0)});
}

// Normalised over groups of channels as instances: [B, C, ...] as [B, groups, rest] and back.
Value* group_norm(const Node& node, OnnxGraph& graph) {
  const std::int64_t groups = integer(graph, node.input(1));
  const c10::ScalarType type = type_of(node.input(0));
  Value* x = graph.tensor(node.input(0));
  Value* shape = graph.node("Shape", {x});
  const at::TensorOptions options(type);
  Value* grouped = graph.node("Reshape", {x, graph.integers({0, groups, -1})});
  Value* normal = graph.node("InstanceNormalization",
                             {grouped,
                              graph.constant(torch::ones({groups}, options)),
                              graph.constant(torch::zeros({groups}, options))},
                             {OnnxGraph::number("epsilon", graph.known(node.input(4)).toDouble())});
  Value* y = graph.node("Reshape", {normal, shape});
  Integers axes(static_cast<std::size_t>(rank_of(node.input(0)) - 2));
  std::iota(axes.begin(), axes.end(), 1);
  const auto channels = [&](const Value* value) {
    Value* own = graph.tensor(value);
    return axes.empty() ? own : graph.node("Unsqueeze", {own, graph.integers(axes)});
  };
  if (!is_none(graph, node.input(2))) y = graph.node("Mul", {y, channels(node.input(2))});
  if (!is_none(graph, node.input(3))) y = graph.node("Add", {y, channels(node.input(3))});
  return y;
}

Value* layer_norm(const Node& node, OnnxGraph& graph) {
  const auto width = static_cast<std::int64_t>(integer_list(graph, node.input(1)).size());
  return graph.node(
      "LayerNormalization",
      {graph.tensor(node.input(0)), graph.tensor(node.input(2)), graph.tensor(node.input(3))},
      {OnnxGraph::attribute("axis", rank_of(node.input(0)) - width),
       OnnxGraph::number("epsilon", graph.known(node.input(4)).toDouble())});
}

Value* batch_norm(const Node& node, OnnxGraph& graph) {
  // input, weight, bias, running_mean, running_var, training, momentum, eps
  DETENTE_CHECK(!graph.known(node.input(5)).toBool(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] a normalisation was recorded as in training.");
  std::vector<Value*> operands;
  for (std::size_t i = 0; i < 5; ++i) operands.push_back(graph.tensor(node.input(i)));
  return graph.node("BatchNormalization",
                    operands,
                    {OnnxGraph::number("epsilon", graph.known(node.input(7)).toDouble())});
}

}  // namespace detente::deploy
