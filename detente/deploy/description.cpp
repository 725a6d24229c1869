// SPDX-License-Identifier: Apache-2.0
#include <detente/core/task_kind.h>
#include <detente/deploy/description.h>

#include <utility>

namespace detente::deploy {
namespace {

constexpr const char* kFormat = "detente-model-1";

Json describe_output(const nn::TaskHead& head, const std::vector<std::string>& names) {
  Json output = {{"name", head.name}};
  const char* list = "classes";
  switch (head.options.kind) {
    case TaskKind::kRegression:
      output["meaning"] = head.options.outputs == 1 ? "value" : "values";
      list = "values";
      break;
    case TaskKind::kBinary:
      output["meaning"] = "probability of class 1";
      break;
    case TaskKind::kClasses:
      output["meaning"] = "probability of each class";
      break;
    case TaskKind::kOrdinal:
      output["meaning"] =
          "probability of each class in their order; the answer is the first class up to which "
          "they "
          "sum to 0.5 or more";
      break;
    case TaskKind::kLabels:
      output["meaning"] = "probability of each label";
      list = "labels";
      break;
    case TaskKind::kSegmentation:
      output["meaning"] = "probability of each class, for each pixel";
      break;
    case TaskKind::kDepth:
      output["meaning"] = "depth of each pixel";
      break;
    case TaskKind::kNormals:
      output["meaning"] = "unit vector of each pixel";
      break;
  }
  if (!names.empty()) output[list] = names;
  return output;
}

}  // namespace

Json describe_outputs(const nn::Model& model, const AnswerNames& names) {
  Json outputs = Json::array();
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    outputs.push_back(describe_output(model.heads().tasks()[k], names.at(k)));
  }
  return outputs;
}

std::string describe(Json inputs, Json outputs) {
  return Json{{"format", kFormat}, {"inputs", std::move(inputs)}, {"outputs", std::move(outputs)}}
             .dump(1) +
         "\n";
}

}  // namespace detente::deploy
