// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/onnx_values.h>
#include <torch/types.h>

namespace detente::deploy {

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

namespace {

std::int64_t positive(std::int64_t axis, const Value* value) {
  return axis < 0 ? axis + rank_of(value) : axis;
}

}  // namespace

std::int64_t axis_of(const OnnxGraph& graph, const Value* axis, const Value* value) {
  return positive(integer(graph, axis), value);
}
Integers axes_of(const OnnxGraph& graph, const Value* axes, const Value* value) {
  Integers list = integer_list(graph, axes);
  for (std::int64_t& axis : list) axis = positive(axis, value);
  return list;
}

Value* scalar(OnnxGraph& graph, const c10::Scalar& value, c10::ScalarType type) {
  return graph.constant(at::scalar_tensor(value, at::TensorOptions(type)));
}

Value* operand(OnnxGraph& graph, const Value* value, c10::ScalarType type) {
  if (graph.is_known(value)) return scalar(graph, graph.known(value).toScalar(), type);
  Value* own = graph.tensor(value);
  const auto tensor = value->type()->cast<c10::TensorType>();
  if (tensor && tensor->scalarType() && *tensor->scalarType() != type) own = graph.cast(own, type);
  return own;
}

}  // namespace detente::deploy
