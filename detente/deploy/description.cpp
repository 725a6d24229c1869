// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/core/task_kind.h>
#include <detente/deploy/description.h>

#include <filesystem>
#include <utility>

namespace detente::deploy {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "detente-model-1";

Json describe_output(const nn::TaskHead& head, const std::vector<std::string>& class_names) {
  Json output = {{"name", head.name}};
  switch (head.options.kind) {
    case TaskKind::kRegression:
      output["meaning"] = "value";
      break;
    case TaskKind::kBinary:
      output["meaning"] = "probability of class 1";
      break;
    case TaskKind::kClasses:
      output["meaning"] = "probability of each class";
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
  if (!class_names.empty()) output["classes"] = class_names;
  return output;
}

}  // namespace

Json describe_outputs(const nn::Model& model, const ClassNames& class_names) {
  Json outputs = Json::array();
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    outputs.push_back(describe_output(model.heads().tasks()[k], class_names.at(k)));
  }
  return outputs;
}

std::string describe(Json inputs, Json outputs) {
  return Json{{"format", kFormat}, {"inputs", std::move(inputs)}, {"outputs", std::move(outputs)}}
             .dump(1) +
         "\n";
}

std::map<std::string, std::string> source_files(const data::Source& fitted) {
  std::error_code error;
  fs::path root = fs::temp_directory_path(error);
  if (error) root = fs::current_path();
  const TemporaryFolder folder(root);
  fitted.save(folder.path());
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder.path()).generic_string()] = read_file(entry.path());
  }
  return files;
}

}  // namespace detente::deploy
