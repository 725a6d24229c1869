// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/onnx_graph.h>
#include <torch/types.h>

namespace detente::deploy {
namespace {

using c10::Symbol;

// Of onnx.proto, TensorProto.DataType.
std::int64_t onnx_type(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float:
      return 1;
    case c10::ScalarType::Byte:
      return 2;
    case c10::ScalarType::Int:
      return 6;
    case c10::ScalarType::Long:
      return 7;
    case c10::ScalarType::Bool:
      return 9;
    case c10::ScalarType::Double:
      return 11;
    default:
      fail(ErrorCode::kUnsupported,
           "[deploy::to_onnx] numbers of type {} have no ONNX form here.",
           c10::toString(type));
  }
}

}  // namespace

OnnxGraph::Value* OnnxGraph::node(const char* operation,
                                  const std::vector<Value*>& operands,
                                  const std::vector<Attribute>& attributes) {
  return node_of(operation, operands, attributes, 1).front();
}

std::vector<OnnxGraph::Value*> OnnxGraph::node_of(const char* operation,
                                                  const std::vector<Value*>& operands,
                                                  const std::vector<Attribute>& attributes,
                                                  std::size_t results) {
  Node* node =
      graph_->create(Symbol::fromQualString(std::string("onnx::") + operation), operands, results);
  for (const Attribute& attribute : attributes) {
    const Symbol name = Symbol::attr(attribute.name);
    switch (attribute.kind) {
      case Attribute::Kind::kInteger:
        node->i_(name, attribute.integer);
        break;
      case Attribute::Kind::kNumber:
        node->f_(name, attribute.number);
        break;
      case Attribute::Kind::kIntegers:
        node->is_(name, attribute.integers);
        break;
      case Attribute::Kind::kWord:
        node->s_(name, attribute.word);
        break;
    }
  }
  graph_->insertNode(node);
  return {node->outputs().begin(), node->outputs().end()};
}

OnnxGraph::Value* OnnxGraph::constant(const at::Tensor& tensor) {
  Node* node = graph_->create(Symbol::fromQualString("onnx::Constant"));
  node->t_(Symbol::attr("value"), tensor.detach().cpu().contiguous());
  graph_->insertNode(node);
  return node->output();
}

OnnxGraph::Value* OnnxGraph::integers(const Integers& values) {
  return constant(torch::tensor(values, torch::kInt64));
}

OnnxGraph::Value* OnnxGraph::cast(Value* value, c10::ScalarType type) {
  return node("Cast", {value}, {attribute("to", onnx_type(type))});
}

OnnxGraph::Value* OnnxGraph::weight(const std::string& name, const at::Tensor& tensor) {
  const auto found = weight_values_.find(name);
  if (found != weight_values_.end()) return found->second;
  const at::Tensor own = tensor.detach().cpu().contiguous();
  Value* value = graph_->addInput(name);
  value->setType(c10::TensorType::create(own));
  weights_.emplace(value->debugName(), own);
  weight_values_.emplace(name, value);
  return value;
}

OnnxGraph::Value* OnnxGraph::tensor(const Value* recorded) const {
  const auto found = tensors_.find(recorded);
  DETENTE_CHECK(found != tensors_.end(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] '{}' is no tensor of the recorded model.",
                recorded->debugName());
  return found->second;
}

const c10::IValue& OnnxGraph::known(const Value* recorded) const {
  const auto found = constants_.find(recorded);
  DETENTE_CHECK(found != constants_.end(),
                ErrorCode::kUnsupported,
                "[deploy::to_onnx] an option of a recorded operation depends on the examples "
                "('{}'), which ONNX cannot follow here; expected --to torchscript.",
                recorded->debugName());
  return found->second;
}

const std::vector<OnnxGraph::Value*>& OnnxGraph::list(const Value* recorded) const {
  const auto found = lists_.find(recorded);
  DETENTE_CHECK(found != lists_.end(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] '{}' is no list of tensors.",
                recorded->debugName());
  return found->second;
}

}  // namespace detente::deploy
