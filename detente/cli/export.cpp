// SPDX-License-Identifier: Apache-2.0
// detente export RUN --to KIND --out FILE
#include <detente/cli/command.h>
#include <detente/cli/output_file.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/file.h>
#include <detente/deploy/portable_model.h>
#include <detente/text/printable.h>
#include <detente/train/loaded_run.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct ExportFlags {
  std::string run;
  std::string to;
  std::string out;
  std::vector<std::string> overrides;
  bool accept_changed = false;
};

const std::vector<std::string>& kinds_of_export() {
  static const std::vector<std::string> kinds = {"safetensors", "torchscript", "onnx"};
  return kinds;
}

std::string exported(const train::LoadedRun& run, const std::string& kind) {
  deploy::AnswerNames names;
  for (const train::TaskRecipe& task : run.recipe.tasks) names.push_back(task.answer_names());
  if (kind == "safetensors") return deploy::to_safetensors(*run.model, *run.source, names);
  if (kind == "torchscript") return deploy::to_torchscript(*run.model, *run.source, names);
  return deploy::to_onnx(*run.model, *run.source, names);
}

// How the file is read, for people who have just made it.
const char* reading(const std::string& kind) {
  if (kind == "safetensors") return "safetensors.torch.load_file(FILE): parameters by name";
  if (kind == "torchscript") return "torch.jit.load(FILE)(...): answers by task";
  return "onnxruntime.InferenceSession(FILE).run(None, {...}): one answer per task";
}

void run_export(const ExportFlags& flags, Context& context) {
  demand_harmless("export", flags.out, {});
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  DETENTE_CHECK(
      !run.recipe.tasks.empty() || flags.to == "safetensors",
      ErrorCode::kUnsupported,
      "[cli::export] the run has no task with a head, so a program made of it would answer "
      "nothing; expected --to safetensors, or `detente features` for what its network "
      "makes of rows.");
  demand_harmless("export", flags.out, run.recipe.data.files.all_files());
  demand_harmless("export", flags.out, run.recipe.data.source->named_files());
  const std::string bytes = exported(run, flags.to);
  if (flags.out == "-") {
    context.out << bytes;
    return;
  }
  write_file_atomic(flags.out, bytes);
  context.out << "Wrote " << text::printable(flags.out) << " (" << bytes.size() << " bytes).\n"
              << "Python: " << reading(flags.to) << "\n"
              << "Inputs and outputs: docs/export.md\n";
}

}  // namespace

void add_export(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "export", "Write a run's model for PyTorch, ONNX Runtime or your own code");
  auto flags = std::make_shared<ExportFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  command
      ->add_option("--to",
                   flags->to,
                   "safetensors: the parameters by name. torchscript: a model that PyTorch runs "
                   "without Detente. onnx: one for ONNX Runtime")
      ->required()
      ->check(CLI::IsMember(kinds_of_export()));
  command->add_option("--out", flags->out, "File to write; - for standard output")->required();
  add_set_flag(*command, flags->overrides);
  add_accept_changed_flag(*command, flags->accept_changed);
  command->callback([flags, &context] { run_export(*flags, context); });
}

}  // namespace detente::cli
