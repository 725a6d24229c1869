// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/description.h>
#include <detente/deploy/recording.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <utility>

namespace detente::deploy {
namespace {

namespace jit = torch::jit;

// Attributes of a TorchScript class are identifiers.
std::string attribute_name(std::string name, const jit::Module& module) {
  for (char& c : name) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!fits) c = '_';
  }
  if (name.front() >= '0' && name.front() <= '9') name.insert(0, "_");
  while (module.hasattr(name)) name += '_';
  return name;
}

void register_tensors(const nn::Parameters& parameters, jit::Module& module) {
  for (const auto& [name, tensor] : parameters.trained()) {
    // For prediction: answers need no detach(). Who trains on asks for gradients.
    at::Tensor own = tensor;
    own.set_requires_grad(false);
    module.register_parameter(attribute_name(name, module), own, false);
  }
  for (const auto& [name, tensor] : parameters.fixed()) {
    module.register_buffer(attribute_name(name, module), tensor);
  }
}

std::string shape_word(std::int64_t size, const std::string& axis) {
  return axis.empty() ? std::to_string(size) : axis;
}

Json describe_input(const nn::PortableInput& input, const at::Tensor& example) {
  Json shape = Json::array();
  for (std::size_t d = 0; d < input.axes.size(); ++d) {
    shape.push_back(shape_word(example.size(static_cast<std::int64_t>(d)), input.axes[d]));
  }
  return {{"name", input.name},
          {"dtype", std::string(torch::toString(example.scalar_type()))},
          {"shape", std::move(shape)},
          {"meaning", input.meaning}};
}

// Recording keeps what depends on the examples by mistake as a constant: the answers to others show it.
void check(const Recording& recording,
           const nn::Model& model,
           const data::Source& fitted,
           const TensorList& inputs) {
  const TensorList expected = model.answers(model.trunk().portable_views(inputs, fitted));
  jit::Module module = recording.network;  // the same, not a copy
  const std::vector<c10::IValue> arguments(inputs.begin(), inputs.end());
  const auto results = module.forward(arguments).toTuple();
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const at::Tensor& result = results->elements()[k].toTensor();
    DETENTE_CHECK(result.sizes() == expected[k].sizes() &&
                      torch::allclose(result, expected[k], 1e-5, 1e-6, /*equal_nan=*/true),
                  ErrorCode::kInternal,
                  "[deploy::record] the recorded model answers task '{}' otherwise than the model.",
                  recording.tasks[k]);
  }
}

}  // namespace

Recording record(const nn::Model& trained,
                 const data::Source& fitted,
                 const AnswerNames& answer_names) {
  const torch::NoGradGuard no_grad;
  nn::Model model = trained.clone();
  model.to(tensor::Device{}, tensor::DType::kFloat32);
  Recording recording{model.trunk().portable_inputs(fitted),
                      {},
                      nullptr,
                      jit::Module("detente.Network"),
                      data::saved_files(fitted)};
  Json inputs = Json::array();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < recording.inputs.list.size(); ++i) {
    inputs.push_back(describe_input(recording.inputs.list[i], recording.inputs.examples.at(i)));
    names.push_back(recording.inputs.list[i].name);
  }
  for (const nn::TaskHead& head : model.heads().tasks()) recording.tasks.push_back(head.name);
  recording.files[kDescription] =
      describe(std::move(inputs), describe_outputs(model, answer_names));

  register_tensors(model.trunk().parameters(), recording.network);
  register_tensors(model.sharing().shared(), recording.network);
  for (const nn::Parameters& own : model.trunk().own()) register_tensors(own, recording.network);
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    register_tensors(model.sharing().own(k), recording.network);
    register_tensors(model.heads().parameters(k), recording.network);
  }
  const jit::Stack examples(recording.inputs.examples.begin(), recording.inputs.examples.end());
  const auto answer = [&](const jit::Stack& stack) {
    TensorList tensors;
    for (const c10::IValue& value : stack) tensors.push_back(value.toTensor());
    std::vector<c10::IValue> results;
    for (at::Tensor& result : model.answers(model.trunk().portable_views(tensors, fitted))) {
      results.emplace_back(std::move(result));
    }
    return jit::Stack{c10::ivalue::Tuple::create(std::move(results))};
  };
  const auto traced = jit::tracer::trace(
      examples,
      answer,
      [](const at::Tensor&) { return std::string(); },
      /*strict=*/true,
      /*force_outplace=*/true,
      &recording.network,
      names);
  recording.graph = traced.first->graph;
  const auto& type = recording.network.type();
  type->addMethod(recording.network._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*type->name(), "forward"), recording.graph->copy()));

  check(recording, model, fitted, recording.inputs.examples);
  TensorList repeated = recording.inputs.others;
  if (!repeated.empty()) {
    check(recording, model, fitted, repeated);
    return recording;
  }
  for (const at::Tensor& example : recording.inputs.examples) {
    repeated.push_back(torch::cat({example, example, example}, 0));
  }
  check(recording, model, fitted, repeated);
  return recording;
}

}  // namespace detente::deploy
