// SPDX-License-Identifier: Apache-2.0
// An ONNX graph in the making, beside the recorded graph it is made from. Inside detente/deploy only.
#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace detente::deploy {

class OnnxGraph {
 public:
  using Value = torch::jit::Value;
  using Node = torch::jit::Node;
  using Integers = std::vector<std::int64_t>;

  OnnxGraph() : graph_(std::make_shared<torch::jit::Graph>()) {}

  // Beside a node's operands, what is no tensor is an attribute.
  struct Attribute {
    enum class Kind { kInteger, kNumber, kIntegers, kWord };
    const char* name;
    Kind kind;
    std::int64_t integer = 0;
    double number = 0;
    Integers integers{};
    const char* word = "";
  };
  static Attribute attribute(const char* name, std::int64_t value) {
    return {name, Attribute::Kind::kInteger, value};
  }
  static Attribute number(const char* name, double value) {
    return {name, Attribute::Kind::kNumber, 0, value};
  }
  static Attribute attribute(const char* name, Integers values) {
    return {name, Attribute::Kind::kIntegers, 0, 0, std::move(values)};
  }

  static Attribute word(const char* name, const char* value) {
    return {name, Attribute::Kind::kWord, 0, 0, {}, value};
  }

  Value* node(const char* operation,
              const std::vector<Value*>& operands,
              const std::vector<Attribute>& attributes = {});
  // One with several results.
  std::vector<Value*> node_of(const char* operation,
                              const std::vector<Value*>& operands,
                              const std::vector<Attribute>& attributes,
                              std::size_t results);
  Value* constant(const at::Tensor& tensor);
  Value* integers(const Integers& values);  // one dimension
  Value* cast(Value* value, c10::ScalarType type);

  // A weight: a tensor beside the graph, once however often it is used.
  Value* weight(const std::string& name, const at::Tensor& tensor);

  const std::shared_ptr<torch::jit::Graph>& graph() const { return graph_; }
  const std::map<std::string, at::Tensor>& weights() const { return weights_; }

  // What became of a recorded value: a tensor here, or a constant that is no tensor.
  void set(const Value* recorded, Value* own) { tensors_[recorded] = own; }
  void set(const Value* recorded, c10::IValue constant) {
    constants_[recorded] = std::move(constant);
  }
  void set(const Value* recorded, std::vector<Value*> list) { lists_[recorded] = std::move(list); }
  // kInternal where there is none.
  Value* tensor(const Value* recorded) const;
  const c10::IValue& known(const Value* recorded) const;
  bool is_known(const Value* recorded) const { return constants_.contains(recorded); }
  const std::vector<Value*>& list(const Value* recorded) const;

 private:
  std::shared_ptr<torch::jit::Graph> graph_;
  std::map<std::string, at::Tensor> weights_;
  std::map<std::string, Value*> weight_values_;
  std::unordered_map<const Value*, Value*> tensors_;
  std::unordered_map<const Value*, c10::IValue> constants_;
  std::unordered_map<const Value*, std::vector<Value*>> lists_;
};

// One recorded operation as ONNX nodes; sets the node's output. False where there is no form for it.
bool add_operation(const torch::jit::Node& node, OnnxGraph& graph);

}  // namespace detente::deploy
