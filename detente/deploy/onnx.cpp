// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/onnx_graph.h>
#include <detente/deploy/recording.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/types.h>

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace detente::deploy {
namespace {

namespace jit = torch::jit;

constexpr std::int64_t kOpset = 17;

// Metadata of a model are entries (key, value) of a repeated field; in the wire format of protocol
// buffers more of them may simply follow the rest.
constexpr char kMetadataField = (14 << 3) | 2;
constexpr char kKeyField = (1 << 3) | 2;
constexpr char kValueField = (2 << 3) | 2;

void append_bytes(std::string& out, char field, std::string_view bytes) {
  out += field;
  std::uint64_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out += static_cast<char>((size & 0x7F) | 0x80);
  out += static_cast<char>(size);
  out += bytes;
}

void append_metadata(std::string& out, std::string_view key, std::string_view value) {
  std::string entry;
  append_bytes(entry, kKeyField, key);
  append_bytes(entry, kValueField, value);
  append_bytes(out, kMetadataField, entry);
}

// Constants, lists and reads of parameters need no operation of ONNX.
bool add_structure(const jit::Node& node, const Recording& recording, OnnxGraph& onnx) {
  const std::string kind = node.kind().toQualString();
  if (kind == "prim::GetAttr") {
    const std::string name = node.s(c10::attr::name);
    onnx.set(node.output(), onnx.weight(name, recording.network.attr(name).toTensor()));
    return true;
  }
  if (kind == "prim::Constant") {
    if (!node.hasAttribute(c10::attr::value)) {
      onnx.set(node.output(), c10::IValue());
      return true;
    }
    const c10::IValue value = *jit::toIValue(node.output());
    if (value.isTensor()) {
      onnx.set(node.output(), onnx.constant(value.toTensor()));
    } else {
      onnx.set(node.output(), value);
    }
    return true;
  }
  if (kind == "prim::NumToTensor") {
    onnx.set(node.output(), onnx.constant(at::scalar_tensor(onnx.known(node.input()).toScalar())));
    return true;
  }
  if (kind != "prim::ListConstruct") return false;
  const bool tensors =
      !node.inputs().empty() && node.input(0)->type()->isSubtypeOf(*c10::TensorType::get());
  if (tensors) {
    std::vector<jit::Value*> list;
    for (const jit::Value* input : node.inputs()) list.push_back(onnx.tensor(input));
    onnx.set(node.output(), std::move(list));
    return true;
  }
  c10::List<std::int64_t> list;
  for (const jit::Value* input : node.inputs()) list.push_back(onnx.known(input).toInt());
  onnx.set(node.output(), c10::IValue(list));
  return true;
}

}  // namespace

std::string to_onnx(const nn::Model& model,
                    const data::Source& fitted,
                    const AnswerNames& answer_names) {
  const torch::NoGradGuard no_grad;
  const Recording recording = record(model, fitted, answer_names);
  const auto recorded = recording.graph->copy();
  jit::EliminateDeadCode(recorded);

  OnnxGraph onnx;
  std::unordered_map<std::string, std::unordered_map<std::int64_t, std::string>> axes;
  for (std::size_t i = 0; i < recording.inputs.list.size(); ++i) {
    const nn::PortableInput& input = recording.inputs.list[i];
    jit::Value* own = onnx.graph()->addInput(input.name);
    own->setType(c10::TensorType::create(recording.inputs.examples[i]));
    onnx.set(recorded->inputs().at(i + 1), own);
    for (std::size_t d = 0; d < input.axes.size(); ++d) {
      if (!input.axes[d].empty()) axes[input.name][static_cast<std::int64_t>(d)] = input.axes[d];
    }
  }
  const jit::Node* answers = nullptr;
  for (const jit::Node* node : recorded->nodes()) {
    if (std::string_view(node->kind().toQualString()) == "prim::TupleConstruct") {
      answers = node;
      continue;
    }
    if (add_structure(*node, recording, onnx) || add_operation(*node, onnx)) continue;
    fail(ErrorCode::kUnsupported,
         "[deploy::to_onnx] the model uses '{}', which has no ONNX form here; expected --to "
         "torchscript, which takes every operation.",
         node->kind().toQualString());
  }
  DETENTE_CHECK(answers != nullptr && answers->inputs().size() == recording.tasks.size(),
                ErrorCode::kInternal,
                "[deploy::to_onnx] the recorded model has no answers.");
  for (std::size_t k = 0; k < recording.tasks.size(); ++k) {
    // A node of its own: two tasks' answers may be one value, an output has one name.
    jit::Value* own = onnx.node("Identity", {onnx.tensor(answers->input(k))});
    own->setType(answers->input(k)->type());
    own->setDebugName(recording.tasks[k]);
    onnx.graph()->registerOutput(own);
    axes[own->debugName()][0] = "batch";
  }
  const auto proto = std::get<0>(jit::export_onnx(onnx.graph(),
                                                  onnx.weights(),
                                                  kOpset,
                                                  axes,
                                                  /*defer_weight_export=*/false,
                                                  ::torch::onnx::OperatorExportTypes::ONNX,
                                                  /*strip_doc_string=*/true,
                                                  /*keep_initializers_as_inputs=*/false));
  std::string bytes = jit::serialize_model_proto_to_string(proto);
  for (const auto& [path, content] : recording.files) append_metadata(bytes, path, content);
  return bytes;
}

}  // namespace detente::deploy
