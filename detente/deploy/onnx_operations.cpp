// SPDX-License-Identifier: Apache-2.0
// LibTorch's operations as ONNX nodes of opset 17. One more is a function and a line in the table.
#include <detente/core/error.h>
#include <detente/deploy/onnx_graph.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

namespace detente::deploy {
namespace {

using Value = OnnxGraph::Value;
using Node = OnnxGraph::Node;
using Integers = OnnxGraph::Integers;
using Rule = void (*)(const Node&, OnnxGraph&);

c10::ScalarType type_of(const Value* value) {
  const auto tensor = value->type()->cast<c10::TensorType>();
  DETENTE_CHECK(tensor && tensor->scalarType(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] the recorded '{}' has no type of numbers.",
                value->debugName());
  return *tensor->scalarType();
}

std::int64_t rank_of(const Value* value) {
  const auto tensor = value->type()->cast<c10::TensorType>();
  DETENTE_CHECK(tensor && tensor->dim(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] the recorded '{}' has no number of dimensions.",
                value->debugName());
  return static_cast<std::int64_t>(*tensor->dim());
}

std::int64_t positive(std::int64_t axis, const Value* value) {
  return axis < 0 ? axis + rank_of(value) : axis;
}

std::int64_t integer(const OnnxGraph& graph, const Value* value) {
  return graph.known(value).toInt();
}
Integers integer_list(const OnnxGraph& graph, const Value* value) {
  const auto list = graph.known(value).toIntVector();
  return {list.begin(), list.end()};
}
bool is_none(const OnnxGraph& graph, const Value* value) {
  return graph.is_known(value) && graph.known(value).isNone();
}

Value* scalar(OnnxGraph& graph, const c10::Scalar& value, c10::ScalarType type) {
  return graph.constant(at::scalar_tensor(value, at::TensorOptions(type)));
}

// A tensor or number as an operand of numbers of this type.
Value* operand(OnnxGraph& graph, const Value* value, c10::ScalarType type) {
  if (graph.is_known(value)) return scalar(graph, graph.known(value).toScalar(), type);
  Value* own = graph.tensor(value);
  const auto tensor = value->type()->cast<c10::TensorType>();
  if (tensor && tensor->scalarType() && *tensor->scalarType() != type) own = graph.cast(own, type);
  return own;
}

void elementwise(const char* operation, const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  graph.set(node.output(),
            graph.node(operation,
                       {operand(graph, node.input(0), type), operand(graph, node.input(1), type)}));
}

// a ± alpha b
void sum(const char* operation, const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(node.inputs().size() < 3 || graph.known(node.input(2)).toScalar().toDouble() == 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] a sum with a factor has no ONNX form here.");
  elementwise(operation, node, graph);
}
void add(const Node& node, OnnxGraph& graph) { sum("Add", node, graph); }
void sub(const Node& node, OnnxGraph& graph) { sum("Sub", node, graph); }
void mul(const Node& node, OnnxGraph& graph) { elementwise("Mul", node, graph); }
void div(const Node& node, OnnxGraph& graph) { elementwise("Div", node, graph); }

template <const char* kOperation>
void unary(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(), graph.node(kOperation, {graph.tensor(node.input(0))}));
}
constexpr char kAbs[] = "Abs";
constexpr char kIsNaN[] = "IsNaN";
constexpr char kNot[] = "Not";
constexpr char kRelu[] = "Relu";
constexpr char kSigmoid[] = "Sigmoid";
constexpr char kSqrt[] = "Sqrt";
constexpr char kTanh[] = "Tanh";

void same(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(), graph.tensor(node.input(0)));
}

void to(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  Value* value = graph.tensor(node.input(0));
  graph.set(node.output(), type_of(node.input(0)) == type ? value : graph.cast(value, type));
}

void clamp(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  Value* value = operand(graph, node.input(0), type);
  if (!is_none(graph, node.input(1))) {
    value = graph.node("Max", {value, operand(graph, node.input(1), type)});
  }
  if (!is_none(graph, node.input(2))) {
    value = graph.node("Min", {value, operand(graph, node.input(2), type)});
  }
  graph.set(node.output(), value);
}

void clamp_min(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  graph.set(node.output(),
            graph.node("Max",
                       {operand(graph, node.input(0), type), operand(graph, node.input(1), type)}));
}

void equal(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.input(0));
  graph.set(node.output(),
            graph.node("Equal",
                       {operand(graph, node.input(0), type), operand(graph, node.input(1), type)}));
}
void not_equal(const Node& node, OnnxGraph& graph) {
  equal(node, graph);
  graph.set(node.output(), graph.node("Not", {graph.tensor(node.output())}));
}

void square(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  graph.set(node.output(), graph.node("Mul", {x, x}));
}

void filled_like(const Node& node, OnnxGraph& graph, double value) {
  Value* one = scalar(graph, value, type_of(node.output()));
  Value* shape = graph.node("Shape", {graph.tensor(node.input(0))});
  graph.set(node.output(), graph.node("Expand", {one, shape}));
}
void ones_like(const Node& node, OnnxGraph& graph) { filled_like(node, graph, 1); }
void zeros_like(const Node& node, OnnxGraph& graph) { filled_like(node, graph, 0); }

void cumsum(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(node.output(),
            graph.node("CumSum",
                       {operand(graph, node.input(0), type_of(node.output())),
                        graph.constant(torch::tensor(axis, torch::kInt64))}));
}

void masked_fill(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  graph.set(node.output(),
            graph.node("Where",
                       {graph.tensor(node.input(1)),
                        operand(graph, node.input(2), type),
                        graph.tensor(node.input(0))}));
}

void select(const Node& node, OnnxGraph& graph) {
  Value* place = graph.constant(torch::tensor(integer(graph, node.input(2)), torch::kInt64));
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(
      node.output(),
      graph.node(
          "Gather", {graph.tensor(node.input(0)), place}, {OnnxGraph::attribute("axis", axis)}));
}

void index_select(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(node.output(),
            graph.node("Gather",
                       {graph.tensor(node.input(0)), graph.tensor(node.input(2))},
                       {OnnxGraph::attribute("axis", axis)}));
}

void slice(const Node& node, OnnxGraph& graph) {
  const auto bound = [&](const Value* value, std::int64_t otherwise) {
    return graph.integers({is_none(graph, value) ? otherwise : integer(graph, value)});
  };
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(node.output(),
            graph.node("Slice",
                       {graph.tensor(node.input(0)),
                        bound(node.input(2), 0),
                        bound(node.input(3), std::numeric_limits<std::int64_t>::max()),
                        graph.integers({axis}),
                        bound(node.input(4), 1)}));
}

void embedding(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(),
            graph.node("Gather",
                       {graph.tensor(node.input(0)), graph.tensor(node.input(1))},
                       {OnnxGraph::attribute("axis", 0)}));
}

void cat(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.output());
  graph.set(node.output(),
            graph.node("Concat", graph.list(node.input(0)), {OnnxGraph::attribute("axis", axis)}));
}

Value* transposed(
    OnnxGraph& graph, Value* value, std::int64_t rank, std::int64_t a, std::int64_t b) {
  Integers order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<std::size_t>(a)], order[static_cast<std::size_t>(b)]);
  return graph.node("Transpose", {value}, {OnnxGraph::attribute("perm", order)});
}

void linear(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  Value* weight = graph.tensor(node.input(1));
  const bool bias = !is_none(graph, node.input(2));
  if (rank_of(node.input(0)) == 2) {
    std::vector<Value*> operands = {x, weight};
    if (bias) operands.push_back(graph.tensor(node.input(2)));
    graph.set(node.output(), graph.node("Gemm", operands, {OnnxGraph::attribute("transB", 1)}));
    return;
  }
  Value* y = graph.node("MatMul", {x, transposed(graph, weight, 2, 0, 1)});
  if (bias) y = graph.node("Add", {y, graph.tensor(node.input(2))});
  graph.set(node.output(), y);
}

// A list of tensors along a dimension that is not there yet.
void stack(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.output());
  std::vector<Value*> list;
  for (Value* value : graph.list(node.input(0))) {
    list.push_back(graph.node("Unsqueeze", {value, graph.integers({axis})}));
  }
  graph.set(node.output(), graph.node("Concat", list, {OnnxGraph::attribute("axis", axis)}));
}

void matmul(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(),
            graph.node("MatMul", {graph.tensor(node.input(0)), graph.tensor(node.input(1))}));
}

void transpose(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(),
            transposed(graph,
                       graph.tensor(node.input(0)),
                       rank_of(node.input(0)),
                       positive(integer(graph, node.input(1)), node.input(0)),
                       positive(integer(graph, node.input(2)), node.input(0))));
}

void t(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(), transposed(graph, graph.tensor(node.input(0)), 2, 0, 1));
}

void gelu(const Node& node, OnnxGraph& graph) {
  const c10::ScalarType type = type_of(node.output());
  DETENTE_CHECK(graph.known(node.input(1)).toStringRef() == "none",
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] the approximate GELU has no ONNX form here.");
  Value* x = graph.tensor(node.input(0));
  Value* root = graph.node("Mul", {x, scalar(graph, std::sqrt(0.5), type)});
  Value* factor = graph.node("Add", {graph.node("Erf", {root}), scalar(graph, 1.0, type)});
  Value* half = graph.node("Mul", {x, scalar(graph, 0.5, type)});
  graph.set(node.output(), graph.node("Mul", {half, factor}));
}

void silu(const Node& node, OnnxGraph& graph) {
  Value* x = graph.tensor(node.input(0));
  graph.set(node.output(), graph.node("Mul", {x, graph.node("Sigmoid", {x})}));
}

void softmax(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(
      node.output(),
      graph.node("Softmax", {graph.tensor(node.input(0))}, {OnnxGraph::attribute("axis", axis)}));
}

void squeeze(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  graph.set(node.output(),
            graph.node("Squeeze", {graph.tensor(node.input(0)), graph.integers({axis})}));
}
void unsqueeze(const Node& node, OnnxGraph& graph) {
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.output());
  graph.set(node.output(),
            graph.node("Unsqueeze", {graph.tensor(node.input(0)), graph.integers({axis})}));
}

// 0 keeps a dimension, -1 takes what is left: so any size of the others will do.
void flatten(const Node& node, OnnxGraph& graph) {
  const std::int64_t rank = rank_of(node.input(0));
  const std::int64_t begin = positive(integer(graph, node.input(1)), node.input(0));
  const std::int64_t end = positive(integer(graph, node.input(2)), node.input(0));
  DETENTE_CHECK(end == rank - 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] flattening inner dimensions has no ONNX form here.");
  Integers shape(static_cast<std::size_t>(begin), 0);
  shape.push_back(-1);
  graph.set(node.output(),
            graph.node("Reshape", {graph.tensor(node.input(0)), graph.integers(shape)}));
}

void unflatten(const Node& node, OnnxGraph& graph) {
  const std::int64_t rank = rank_of(node.input(0));
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  DETENTE_CHECK(axis == rank - 1,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] unflattening an inner dimension has no ONNX form here.");
  Integers shape(static_cast<std::size_t>(axis), 0);
  const Integers sizes = integer_list(graph, node.input(2));
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  graph.set(node.output(),
            graph.node("Reshape", {graph.tensor(node.input(0)), graph.integers(shape)}));
}

// A shape written down: it may not hold a size of the examples.
void reshape(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(),
            graph.node(
                "Reshape",
                {graph.tensor(node.input(0)), graph.integers(integer_list(graph, node.input(1)))}));
}

void view_as(const Node& node, OnnxGraph& graph) {
  Value* shape = graph.node("Shape", {graph.tensor(node.input(1))});
  graph.set(node.output(), graph.node("Reshape", {graph.tensor(node.input(0)), shape}));
}

void permute(const Node& node, OnnxGraph& graph) {
  graph.set(node.output(),
            graph.node("Transpose",
                       {graph.tensor(node.input(0))},
                       {OnnxGraph::attribute("perm", integer_list(graph, node.input(1)))}));
}

// Axes as an attribute, as opset 17 has them for all reductions but ReduceSum.
void reduce(const char* operation,
            const Node& node,
            OnnxGraph& graph,
            std::size_t axes_at,
            std::size_t keep_at) {
  Integers axes = integer_list(graph, node.input(axes_at));
  for (std::int64_t& axis : axes) axis = positive(axis, node.input(0));
  const bool keep = graph.known(node.input(keep_at)).toBool();
  graph.set(node.output(),
            graph.node(operation,
                       {operand(graph, node.input(0), type_of(node.output()))},
                       {OnnxGraph::attribute("axes", axes),
                        OnnxGraph::attribute("keepdims", keep ? 1 : 0)}));
}
void mean(const Node& node, OnnxGraph& graph) { reduce("ReduceMean", node, graph, 1, 2); }

void sum_over(const Node& node, OnnxGraph& graph) {
  Integers axes = integer_list(graph, node.input(1));
  for (std::int64_t& axis : axes) axis = positive(axis, node.input(0));
  const bool keep = graph.known(node.input(2)).toBool();
  graph.set(
      node.output(),
      graph.node("ReduceSum",
                 {operand(graph, node.input(0), type_of(node.output())), graph.integers(axes)},
                 {OnnxGraph::attribute("keepdims", keep ? 1 : 0)}));
}

void norm(const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(graph.known(node.input(1)).toScalar().toDouble() == 2,
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] norms other than the Euclidean have no ONNX form here.");
  reduce("ReduceL2", node, graph, 2, 3);
}

// Values alone: where the largest stands is not asked for.
void largest(const Node& node, OnnxGraph& graph) {
  DETENTE_CHECK(node.outputs().size() == 2 && !node.output(1)->hasUses(),
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] the place of a maximum has no ONNX form here.");
  const std::int64_t axis = positive(integer(graph, node.input(1)), node.input(0));
  const bool keep = graph.known(node.input(2)).toBool();
  graph.set(node.output(0),
            graph.node("ReduceMax",
                       {graph.tensor(node.input(0))},
                       {OnnxGraph::attribute("axes", Integers{axis}),
                        OnnxGraph::attribute("keepdims", keep ? 1 : 0)}));
}

// Of both sides of an image; one number stands for both.
Integers sides(const OnnxGraph& graph, const Value* value) {
  Integers list = integer_list(graph, value);
  if (list.size() == 1) list.push_back(list.front());
  return list;
}

// PyTorch's padding of both ends alike, as ONNX counts them: all begins, then all ends.
Integers both_ends(const Integers& padding) {
  Integers both = padding;
  both.insert(both.end(), padding.begin(), padding.end());
  return both;
}

void convolve(const Node& node, OnnxGraph& graph, bool flags) {
  // input, weight, bias, stride, padding, dilation[, transposed, output_padding], groups
  const std::size_t groups = flags ? 8 : 6;
  DETENTE_CHECK(!flags || !graph.known(node.input(6)).toBool(),
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] transposed convolutions have no ONNX form here.");
  std::vector<Value*> operands = {graph.tensor(node.input(0)), graph.tensor(node.input(1))};
  if (!is_none(graph, node.input(2))) operands.push_back(graph.tensor(node.input(2)));
  graph.set(node.output(),
            graph.node("Conv",
                       operands,
                       {OnnxGraph::attribute("strides", sides(graph, node.input(3))),
                        OnnxGraph::attribute("pads", both_ends(sides(graph, node.input(4)))),
                        OnnxGraph::attribute("dilations", sides(graph, node.input(5))),
                        OnnxGraph::attribute("group", integer(graph, node.input(groups)))}));
}
void conv2d(const Node& node, OnnxGraph& graph) { convolve(node, graph, false); }
void convolution(const Node& node, OnnxGraph& graph) { convolve(node, graph, true); }

void max_pool2d(const Node& node, OnnxGraph& graph) {
  const Integers kernel = sides(graph, node.input(1));
  const Integers stride = integer_list(graph, node.input(2));
  graph.set(
      node.output(),
      graph.node(
          "MaxPool",
          {graph.tensor(node.input(0))},
          {OnnxGraph::attribute("kernel_shape", kernel),
           OnnxGraph::attribute("strides", stride.empty() ? kernel : sides(graph, node.input(2))),
           OnnxGraph::attribute("pads", both_ends(sides(graph, node.input(3)))),
           OnnxGraph::attribute("dilations", sides(graph, node.input(4))),
           OnnxGraph::attribute("ceil_mode", graph.known(node.input(5)).toBool() ? 1 : 0)}));
}

// Normalised over groups of channels as instances: [B, C, ...] as [B, groups, rest] and back.
void group_norm(const Node& node, OnnxGraph& graph) {
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
  graph.set(node.output(), y);
}

void layer_norm(const Node& node, OnnxGraph& graph) {
  const auto width = static_cast<std::int64_t>(integer_list(graph, node.input(1)).size());
  graph.set(
      node.output(),
      graph.node(
          "LayerNormalization",
          {graph.tensor(node.input(0)), graph.tensor(node.input(2)), graph.tensor(node.input(3))},
          {OnnxGraph::attribute("axis", rank_of(node.input(0)) - width),
           OnnxGraph::number("epsilon", graph.known(node.input(4)).toDouble())}));
}

void batch_norm(const Node& node, OnnxGraph& graph) {
  // input, weight, bias, running_mean, running_var, training, momentum, eps
  DETENTE_CHECK(!graph.known(node.input(5)).toBool(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] a normalisation was recorded as in training.");
  std::vector<Value*> operands;
  for (std::size_t i = 0; i < 5; ++i) operands.push_back(graph.tensor(node.input(i)));
  graph.set(node.output(),
            graph.node("BatchNormalization",
                       operands,
                       {OnnxGraph::number("epsilon", graph.known(node.input(7)).toDouble())}));
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
      {"aten::conv2d", conv2d},
      {"aten::cumsum", cumsum},
      {"aten::detach", same},
      {"aten::div", div},
      {"aten::embedding", embedding},
      {"aten::eq", equal},
      {"aten::flatten", flatten},
      {"aten::gelu", gelu},
      {"aten::group_norm", group_norm},
      {"aten::index_select", index_select},
      {"aten::isnan", unary<kIsNaN>},
      {"aten::layer_norm", layer_norm},
      {"aten::linear", linear},
      {"aten::logical_not", unary<kNot>},
      {"aten::masked_fill", masked_fill},
      {"aten::matmul", matmul},
      {"aten::max", largest},
      {"aten::max_pool2d", max_pool2d},
      {"aten::mean", mean},
      {"aten::mul", mul},
      {"aten::ne", not_equal},
      {"aten::norm", norm},
      {"aten::ones_like", ones_like},
      {"aten::permute", permute},
      {"aten::relu", unary<kRelu>},
      {"aten::reshape", reshape},
      {"aten::select", select},
      {"aten::sigmoid", unary<kSigmoid>},
      {"aten::silu", silu},
      {"aten::slice", slice},
      {"aten::softmax", softmax},
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
  found->second(node, graph);
  return true;
}

std::vector<std::string> operations_with_onnx_form() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : rules()) names.push_back(name);
  return names;
}

}  // namespace detente::deploy
