// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/onnx_layers.h>
#include <torch/types.h>

#include <limits>
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

namespace {

std::vector<Value*> pool(const Node& node, OnnxGraph& graph, std::size_t results) {
  const Integers kernel = sides(graph, node, 1);
  const Integers stride = integer_list(graph, node.input(2));
  return graph.node_of(
      "MaxPool",
      {graph.tensor(node.input(0))},
      {OnnxGraph::attribute("kernel_shape", kernel),
       OnnxGraph::attribute("strides", stride.empty() ? kernel : sides(graph, node, 2)),
       OnnxGraph::attribute("pads", both_ends(sides(graph, node, 3))),
       OnnxGraph::attribute("dilations", sides(graph, node, 4)),
       OnnxGraph::attribute("ceil_mode", graph.known(node.input(5)).toBool() ? 1 : 0)},
      results);
}

// The shape of `like` with other sides: [B, C] stay what they are when the model is used.
Value* with_sides(OnnxGraph& graph, Value* like, const Integers& wanted) {
  Value* shape = graph.node("Shape", {like});
  Value* outer = graph.node("Slice", {shape, graph.integers({0}), graph.integers({2})});
  return graph.node("Concat", {outer, graph.integers(wanted)}, {OnnxGraph::attribute("axis", 0)});
}

constexpr std::int64_t kLastTwo = 2;  // where a plane's sides stand in a shape

}  // namespace

Value* max_pool(const Node& node, OnnxGraph& graph) { return pool(node, graph, 1).front(); }

// ONNX counts places through the whole tensor; within each plane they are what LibTorch has.
Value* max_pool2d_with_indices(const Node& node, OnnxGraph& graph) {
  const std::vector<Value*> results = pool(node, graph, 2);
  Value* shape = graph.node("Shape", {graph.tensor(node.input(0))});
  Value* plane = graph.node("Slice",
                            {shape,
                             graph.integers({kLastTwo}),
                             graph.integers({std::numeric_limits<std::int64_t>::max()})});
  Value* pixels =
      graph.node("ReduceProd",
                 {plane},
                 {OnnxGraph::attribute("axes", Integers{0}), OnnxGraph::attribute("keepdims", 1)});
  graph.set(node.output(1), graph.node("Mod", {results[1], pixels}));
  return results[0];
}

// Each number to its place in a plane of zeros: [B, C, H·W] and back.
Value* max_unpool2d(const Node& node, OnnxGraph& graph) {
  const Integers wanted = sides(graph, node, 2);
  Value* x = graph.tensor(node.input(0));
  Value* flat_shape = graph.integers({0, 0, -1});
  Value* values = graph.node("Reshape", {x, flat_shape});
  Value* places = graph.node("Reshape", {graph.tensor(node.input(1)), flat_shape});
  Value* outer = graph.node(
      "Slice", {graph.node("Shape", {x}), graph.integers({0}), graph.integers({kLastTwo})});
  Value* plane = graph.node("Concat",
                            {outer, graph.integers({wanted[0] * wanted[1]})},
                            {OnnxGraph::attribute("axis", 0)});
  Value* zero = graph.constant(torch::zeros({1}, at::TensorOptions(type_of(node.input(0)))));
  Value* filled = graph.node("ScatterElements",
                             {graph.node("Expand", {zero, plane}), places, values},
                             {OnnxGraph::attribute("axis", 2)});
  return graph.node("Reshape", {filled, with_sides(graph, x, wanted)});
}

Value* upsample_bilinear2d(const Node& node, OnnxGraph& graph) {
  // input, size, align_corners, ...; the size may stand as a list of numbers
  DETENTE_CHECK(
      graph.known(node.input(2)).toBool(),
      ErrorCode::kUnsupported,
      "[deploy::to_onnx] a resize that does not align the corners has no ONNX form here.");
  Value* x = graph.tensor(node.input(0));
  Value* none = graph.constant(torch::zeros({0}, torch::kFloat32));
  return graph.node("Resize",
                    {x, none, none, with_sides(graph, x, sides(graph, node, 1))},
                    {OnnxGraph::word("mode", "linear"),
                     OnnxGraph::word("coordinate_transformation_mode", "align_corners")});
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
