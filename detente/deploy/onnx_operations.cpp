// SPDX-License-Identifier: Apache-2.0
// LibTorch's operations as ONNX nodes of opset 17. One more is a function and a line in the table.
#include <detente/core/error.h>
#include <detente/deploy/onnx_graph.h>
#include <detente/deploy/onnx_layers.h>
#include <detente/deploy/onnx_values.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace detente::deploy {
namespace {

using Rule = Value* (*)(const Node&, OnnxGraph&);

Value* elementwise(const char* operation, const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  return graph.node(operation,
                    {operand(graph, node.input(0), type), operand(graph, node.input(1), type)});
}

// a ± alpha b
Value* sum(const char* operation, const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(node.inputs().size() < 3 || graph.known(node.input(2)).toScalar().toDouble() == 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] a sum with a factor has no ONNX form here.");
  return elementwise(operation, node, graph);
}
Value* add(const Node& node, OnnxGraph& graph) { return sum("Add", node, graph); }
Value* sub(const Node& node, OnnxGraph& graph) { return sum("Sub", node, graph); }
Value* mul(const Node& node, OnnxGraph& graph) { return elementwise("Mul", node, graph); }
Value* div(const Node& node, OnnxGraph& graph) { return elementwise("Div", node, graph); }

template <const char* kOperation>
Value* unary(const Node& node, OnnxGraph& graph) {
  return graph.node(kOperation, {graph.tensor(node.input(0))});
}
constexpr char kAbs[] = "Abs";
constexpr char kIsNaN[] = "IsNaN";
constexpr char kNot[] = "Not";
constexpr char kRelu[] = "Relu";
constexpr char kSoftplus[] = "Softplus";  // beta of 1, as all of ours
constexpr char kSigmoid[] = "Sigmoid";
constexpr char kSqrt[] = "Sqrt";
constexpr char kTanh[] = "Tanh";

Value* same(const Node& node, OnnxGraph& graph) { return graph.tensor(node.input(0)); }

Value* to(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  Value* value = graph.tensor(node.input(0));
  return type_of(node.input(0)) == type ? value : graph.cast(value, type);
}

Value* clamp(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  Value* value = operand(graph, node.input(0), type);
  if (!is_none(graph, node.input(1))) {
    value = graph.node("Max", {value, operand(graph, node.input(1), type)});
  }
  if (!is_none(graph, node.input(2))) {
    value = graph.node("Min", {value, operand(graph, node.input(2), type)});
  }
  return value;
}

Value* clamp_min(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  return graph.node("Max",
                    {operand(graph, node.input(0), type), operand(graph, node.input(1), type)});
}

Value* equal(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.input(0));
  return graph.node("Equal",
                    {operand(graph, node.input(0), type), operand(graph, node.input(1), type)});
}
Value* not_equal(const Node& node, OnnxGraph& graph) {
  return graph.node("Not", {equal(node, graph)});
}

Value* rsqrt(const Node& node, OnnxGraph& graph) {
  return graph.node("Reciprocal", {graph.node("Sqrt", {graph.tensor(node.input(0))})});
}

Value* square(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  return graph.node("Mul", {x, x});
}

Value* filled_like(const Node& node, OnnxGraph& graph, double value) {
  Value* one = scalar(graph, value, type_of(node.output()));
  Value* shape = graph.node("Shape", {graph.tensor(node.input(0))});
  return graph.node("Expand", {one, shape});
}
Value* ones_like(const Node& node, OnnxGraph& graph) { return filled_like(node, graph, 1); }
Value* zeros_like(const Node& node, OnnxGraph& graph) { return filled_like(node, graph, 0); }

Value* cumsum(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  return graph.node("CumSum",
                    {operand(graph, node.input(0), type_of(node.output())),
                     graph.constant(torch::tensor(axis, torch::kInt64))});
}

Value* masked_fill(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  return graph.node("Where",
                    {graph.tensor(node.input(1)),
                     operand(graph, node.input(2), type),
                     graph.tensor(node.input(0))});
}

Value* gather(OnnxGraph& graph, Value* values, Value* places, std::int64_t axis) {
  return graph.node("Gather", {values, places}, {OnnxGraph::attribute("axis", axis)});
}

Value* select(const Node& node, OnnxGraph& graph) {
  Value* place = graph.constant(torch::tensor(integer(graph, node.input(2)), torch::kInt64));
  return gather(
      graph, graph.tensor(node.input(0)), place, axis_of(graph, node.input(1), node.input(0)));
}

Value* index_select(const Node& node, OnnxGraph& graph) {
  return gather(graph,
                graph.tensor(node.input(0)),
                graph.tensor(node.input(2)),
                axis_of(graph, node.input(1), node.input(0)));
}

// Rows added to those at their places, again and again where a place occurs often.
Value* index_add(const Node& node, OnnxGraph& graph) {
  // self, dim, index, source, alpha
  DETENTE_CHECK(
      axis_of(graph, node.input(1), node.input(0)) == 0 &&
          graph.known(node.input(4)).toScalar().toDouble() == 1,
      ErrorCode::kUnsupported,
      "[deploy::to_onnx] sums by place along an inner dimension, or with a factor, have no "
      "ONNX form here.");
  Value* places = graph.node("Unsqueeze", {graph.tensor(node.input(2)), graph.integers({1})});
  return graph.node("ScatterND",
                    {graph.tensor(node.input(0)), places, graph.tensor(node.input(3))},
                    {OnnxGraph::word("reduction", "add")});
}

Value* embedding(const Node& node, OnnxGraph& graph) {
  return gather(graph, graph.tensor(node.input(0)), graph.tensor(node.input(1)), 0);
}

Value* slice(const Node& node, OnnxGraph& graph) {
  const auto bound = [&](const Value* value, std::int64_t otherwise) {
    return graph.integers({is_none(graph, value) ? otherwise : integer(graph, value)});
  };
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  return graph.node("Slice",
                    {graph.tensor(node.input(0)),
                     bound(node.input(2), 0),
                     bound(node.input(3), std::numeric_limits<std::int64_t>::max()),
                     graph.integers({axis}),
                     bound(node.input(4), 1)});
}

Value* cat(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.output());
  return graph.node("Concat", graph.list(node.input(0)), {OnnxGraph::attribute("axis", axis)});
}

Value* transposed(
    OnnxGraph& graph, Value* value, std::int64_t rank, std::int64_t a, std::int64_t b) {
  Integers order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<std::size_t>(a)], order[static_cast<std::size_t>(b)]);
  return graph.node("Transpose", {value}, {OnnxGraph::attribute("perm", order)});
}

Value* linear(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  Value* weight = graph.tensor(node.input(1));
  const bool bias = !is_none(graph, node.input(2));
  if (rank_of(node.input(0)) == 2) {
    std::vector<Value*> operands = {x, weight};
    if (bias) operands.push_back(graph.tensor(node.input(2)));
    return graph.node("Gemm", operands, {OnnxGraph::attribute("transB", 1)});
  }
  Value* y = graph.node("MatMul", {x, transposed(graph, weight, 2, 0, 1)});
  if (bias) y = graph.node("Add", {y, graph.tensor(node.input(2))});
  return y;
}

// A list of tensors along a dimension that is not there yet.
Value* stack(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.output());
  std::vector<Value*> list;
  for (Value* value : graph.list(node.input(0))) {
    list.push_back(graph.node("Unsqueeze", {value, graph.integers({axis})}));
  }
  return graph.node("Concat", list, {OnnxGraph::attribute("axis", axis)});
}

Value* matmul(const Node& node, OnnxGraph& graph) {
  return graph.node("MatMul", {graph.tensor(node.input(0)), graph.tensor(node.input(1))});
}

Value* transpose(const Node& node, OnnxGraph& graph) {
  return transposed(graph,
                    graph.tensor(node.input(0)),
                    rank_of(node.input(0)),
                    axis_of(graph, node.input(1), node.input(0)),
                    axis_of(graph, node.input(2), node.input(0)));
}

Value* t(const Node& node, OnnxGraph& graph) {
  return transposed(graph, graph.tensor(node.input(0)), 2, 0, 1);
}

Value* gelu(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  DETENTE_CHECK(graph.known(node.input(1)).toStringRef() == "none",
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] the approximate GELU has no ONNX form here.");
  Value* x = graph.tensor(node.input(0));
  Value* root = graph.node("Mul", {x, scalar(graph, std::sqrt(0.5), type)});
  Value* factor = graph.node("Add", {graph.node("Erf", {root}), scalar(graph, 1.0, type)});
  Value* half = graph.node("Mul", {x, scalar(graph, 0.5, type)});
  return graph.node("Mul", {half, factor});
}

Value* silu(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  return graph.node("Mul", {x, graph.node("Sigmoid", {x})});
}

Value* leaky_relu(const Node& node, OnnxGraph& graph) {
  return graph.node("LeakyRelu",
                    {graph.tensor(node.input(0))},
                    {OnnxGraph::number("alpha", graph.known(node.input(1)).toScalar().toDouble())});
}

Value* softmax(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  return graph.node("Softmax", {graph.tensor(node.input(0))}, {OnnxGraph::attribute("axis", axis)});
}

Value* squeeze(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  return graph.node("Squeeze", {graph.tensor(node.input(0)), graph.integers({axis})});
}
Value* unsqueeze(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = axis_of(graph, node.input(1), node.output());
  return graph.node("Unsqueeze", {graph.tensor(node.input(0)), graph.integers({axis})});
}

// 0 keeps a dimension, -1 takes what is left: so any size of the others will do.
Value* flatten(const Node& node, OnnxGraph& graph) {
  const std::int64_t rank = rank_of(node.input(0));
  const std::int64_t begin = axis_of(graph, node.input(1), node.input(0));
  const std::int64_t end = axis_of(graph, node.input(2), node.input(0));
  DETENTE_CHECK(end == rank - 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] flattening inner dimensions has no ONNX form here.");
  Integers shape(static_cast<std::size_t>(begin), 0);
  shape.push_back(-1);
  return graph.node("Reshape", {graph.tensor(node.input(0)), graph.integers(shape)});
}

Value* unflatten(const Node& node, OnnxGraph& graph) {
  const std::int64_t rank = rank_of(node.input(0));
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  DETENTE_CHECK(axis == rank - 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] unflattening an inner dimension has no ONNX form here.");
  Integers shape(static_cast<std::size_t>(axis), 0);
  const Integers sizes = integer_list(graph, node.input(2));
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return graph.node("Reshape", {graph.tensor(node.input(0)), graph.integers(shape)});
}

// A shape written down: it may not hold a size of the examples.
Value* reshape(const Node& node, OnnxGraph& graph) {
  return graph.node(
      "Reshape", {graph.tensor(node.input(0)), graph.integers(integer_list(graph, node.input(1)))});
}

Value* view_as(const Node& node, OnnxGraph& graph) {
  Value* shape = graph.node("Shape", {graph.tensor(node.input(1))});
  return graph.node("Reshape", {graph.tensor(node.input(0)), shape});
}

Value* permute(const Node& node, OnnxGraph& graph) {
  return graph.node("Transpose",
                    {graph.tensor(node.input(0))},
                    {OnnxGraph::attribute("perm", integer_list(graph, node.input(1)))});
}

// Axes as an attribute, as opset 17 has them for all reductions but ReduceSum.
Value* reduce(const char* operation,
              const Node& node,
              OnnxGraph& graph,
              std::size_t axes_at,
              std::size_t keep_at) {
  const Integers axes = axes_of(graph, node.input(axes_at), node.input(0));
  const bool keep = graph.known(node.input(keep_at)).toBool();
  return graph.node(
      operation,
      {operand(graph, node.input(0), type_of(node.output()))},
      {OnnxGraph::attribute("axes", axes), OnnxGraph::attribute("keepdims", keep ? 1 : 0)});
}
Value* mean(const Node& node, OnnxGraph& graph) { return reduce("ReduceMean", node, graph, 1, 2); }

Value* sum_over(const Node& node, OnnxGraph& graph) {
  const Integers axes = axes_of(graph, node.input(1), node.input(0));
  const bool keep = graph.known(node.input(2)).toBool();
  return graph.node("ReduceSum",
                    {operand(graph, node.input(0), type_of(node.output())), graph.integers(axes)},
                    {OnnxGraph::attribute("keepdims", keep ? 1 : 0)});
}

Value* norm(const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(graph.known(node.input(1)).toScalar().toDouble() == 2,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] norms other than the Euclidean have no ONNX form here.");
  return reduce("ReduceL2", node, graph, 2, 3);
}

// Values alone: where the largest stands is not asked for.
Value* largest(const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(node.outputs().size() == 2 && !node.output(1)->hasUses(),
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] the place of a maximum has no ONNX form here.");
  const std::int64_t axis = axis_of(graph, node.input(1), node.input(0));
  const bool keep = graph.known(node.input(2)).toBool();
  return graph.node("ReduceMax",
                    {graph.tensor(node.input(0))},
                    {OnnxGraph::attribute("axes", Integers{axis}),
                     OnnxGraph::attribute("keepdims", keep ? 1 : 0)});
}

const std::map<std::string, Rule>& rules() {
  static const std::map<std::string, Rule> table = {
      {"aten::_convolution", convolution},
      {"aten::abs", unary<kAbs>},
      {"aten::add", add},
      {"aten::batch_norm", batch_norm},
      {"aten::bmm", matmul},
      {"aten::cat", cat},
      {"aten::clamp", clamp},
      {"aten::clamp_min", clamp_min},
      {"aten::contiguous", same},
      {"aten::conv2d", plain_convolution},
      {"aten::conv3d", plain_convolution},
      {"aten::cumsum", cumsum},
      {"aten::detach", same},
      {"aten::div", div},
      {"aten::embedding", embedding},
      {"aten::eq", equal},
      {"aten::flatten", flatten},
      {"aten::gelu", gelu},
      {"aten::group_norm", group_norm},
      {"aten::index_add", index_add},
      {"aten::index_select", index_select},
      {"aten::isnan", unary<kIsNaN>},
      {"aten::layer_norm", layer_norm},
      {"aten::linear", linear},
      {"aten::logical_not", unary<kNot>},
      {"aten::masked_fill", masked_fill},
      {"aten::matmul", matmul},
      {"aten::max", largest},
      {"aten::max_pool2d", max_pool},
      {"aten::max_pool2d_with_indices", max_pool2d_with_indices},
      {"aten::max_pool3d", max_pool},
      {"aten::max_unpool2d", max_unpool2d},
      {"aten::mean", mean},
      {"aten::mul", mul},
      {"aten::ne", not_equal},
      {"aten::leaky_relu", leaky_relu},
      {"aten::norm", norm},
      {"aten::ones_like", ones_like},
      {"aten::permute", permute},
      {"aten::relu", unary<kRelu>},
      {"aten::reshape", reshape},
      {"aten::rsqrt", rsqrt},
      {"aten::select", select},
      {"aten::sigmoid", unary<kSigmoid>},
      {"aten::silu", silu},
      {"aten::slice", slice},
      {"aten::softmax", softmax},
      {"aten::softplus", unary<kSoftplus>},
      {"aten::sqrt", unary<kSqrt>},
      {"aten::square", square},
      {"aten::squeeze", squeeze},
      {"aten::stack", stack},
      {"aten::sub", sub},
      {"aten::sum", sum_over},
      {"aten::t", t},
      {"aten::tanh", unary<kTanh>},
      {"aten::to", to},
      {"aten::transpose", transpose},
      {"aten::unflatten", unflatten},
      {"aten::unsqueeze", unsqueeze},
      {"aten::upsample_bilinear2d", upsample_bilinear2d},
      {"aten::view", reshape},
      {"aten::view_as", view_as},
      {"aten::zeros_like", zeros_like},
  };
  return table;
}

}  // namespace

bool add_operation(const Node& node, OnnxGraph& graph) {
  const auto found = rules().find(node.kind().toQualString());
  if (found == rules().end()) return false;
  graph.set(node.output(0), found->second(node, graph));
  return true;
}

}  // namespace detente::deploy
