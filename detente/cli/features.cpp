// SPDX-License-Identifier: Apache-2.0
// detente features RUN
#include <detente/cli/command.h>
#include <detente/cli/data_flags.h>
#include <detente/cli/output_file.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/npy.h>
#include <detente/text/printable.h>
#include <detente/train/corpus.h>
#include <detente/train/loaded_run.h>
#include <detente/train/probe.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct FeatureFlags {
  std::string run;
  DataFlags data;
  std::string part = "dev";
  std::string out;
  std::vector<std::string> overrides;
  bool accept_changed = false;
  bool json = false;
};

void run_features(const FeatureFlags& flags, Context& context) {
  DETENTE_CHECK(std::filesystem::path(flags.out).extension() == ".npy",
                ErrorCode::kInvalidArgument,
                "[cli::features] --out '{}' is for NumPy's format; expected FILE.npy.",
                flags.out);
  const bool piped = flags.data.data == data::kStandardInput;
  demand_harmless("features", flags.out, {piped ? "" : flags.data.data});
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  demand_harmless("features", flags.out, run.recipe.data.files.all_files());
  demand_harmless("features", flags.out, run.recipe.data.source->named_files());
  const bool given = !flags.data.data.empty();
  const data::SourceFiles files = given ? flags.data.files(run.recipe) : run.recipe.data.files;
  const data::Part part = given                   ? data::Part::kDev
                          : flags.part == "train" ? data::Part::kTrain
                          : flags.part == "test"  ? data::Part::kTest
                                                  : data::Part::kDev;
  const auto rows = train::load_rows(run.recipe, files, part, *run.source, !given);
  for (const auto& warning : rows->warnings()) tell(context, "warning", warning);
  const train::FeatureTable table =
      train::feature_table(*run.model, *rows, 4 * run.recipe.loop.batches.batch_size);
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    DETENTE_CHECK(std::isfinite(table.values[i]),
                  ErrorCode::kNumeric,
                  "[cli::features] the features of row {} are not finite; the model has diverged.",
                  i / table.width + 1);
  }
  write_npy(flags.out, {table.rows, table.width}, table.values.data());
  if (flags.json) {
    context.out << json_text(Json{{"rows", table.rows}, {"width", table.width}, {"out", flags.out}})
                << "\n";
    return;
  }
  context.out << "Wrote " << table.rows << " rows of " << table.width << " numbers (float32) to "
              << text::printable(flags.out) << ".\n";
}

}  // namespace

void add_features(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "features", "What a run's network makes of rows, before any head: a vector each, as .npy");
  auto flags = std::make_shared<FeatureFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  add_data_flags(*command,
                 flags->data,
                 "File with the recipe's input columns; of images also idx, CIFAR-10 or a folder; "
                 "default: the run's own validation rows");
  command
      ->add_option("--part",
                   flags->part,
                   "Rows of the recipe's own data: dev (default), test (data.split) or train")
      ->check(CLI::IsMember({"dev", "test", "train"}))
      ->excludes("--data");
  command->add_option("--out", flags->out, "FILE.npy: float32 [rows, width], in the rows' order")
      ->required();
  add_set_flag(*command, flags->overrides);
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_flag("--json", flags->json, "Print {\"rows\": n, \"width\": w, \"out\": ...}");
  command->callback([flags, &context] { run_features(*flags, context); });
}

}  // namespace detente::cli
