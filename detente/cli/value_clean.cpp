// SPDX-License-Identifier: Apache-2.0
// detente value clean RUN
#include <detente/cli/output_file.h>
#include <detente/cli/recipe_flags.h>
#include <detente/cli/value_clean.h>
#include <detente/cli/value_examples.h>
#include <detente/cli/value_text.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/data/dropped_rows.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/corpus.h>
#include <detente/train/loaded_run.h>
#include <detente/valuation/clean.h>
#include <detente/valuation/value_summary.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

struct CleanFlags {
  std::string run;
  std::string values;
  std::string judged;
  std::string trained = valuation::kAll;
  std::string modality = valuation::kAll;
  double quantile = -1;
  double below = std::nan("");
  bool harmful = false;
  std::vector<std::string> spare;
  bool random = false;
  std::uint64_t seed = 0;
  std::string out;
  std::vector<std::string> overrides;
  bool force = false;
  bool accept_changed = false;
  bool json = false;
};

void run_clean(const CleanFlags& flags, Context& context) {
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  const fs::path values = flags.values.empty() ? run.run.values() : fs::path(flags.values);
  DETENTE_CHECK(
      fs::exists(values),
      ErrorCode::kIo,
      "[cli::value] there are no values in '{}'. Expected what `detente value {} --method M "
      "--out DIR` wrote: --values DIR/values.csv.",
      values.string(),
      flags.run);
  const valuation::ValueTable table = valuation::read_values(values.string());
  const std::vector<std::string> judged = valuation::tasks_judged(table);
  DETENTE_CHECK(
      !flags.judged.empty() || judged.size() == 1,
      ErrorCode::kInvalidArgument,
      "[cli::value] the values are judged by several tasks; say with --drop-harmful which one "
      "the rows harm: {}.",
      join_names(judged));
  valuation::CleanRule rule{.judged = flags.judged.empty() ? judged[0] : flags.judged,
                            .trained = flags.trained,
                            .modality = flags.modality,
                            .spare = flags.spare,
                            .harmful = flags.harmful};
  if (flags.quantile >= 0) rule.quantile = flags.quantile;
  if (!std::isnan(flags.below)) rule.below = flags.below;
  const valuation::Cleaning cleaning = valuation::choose_removed(table, rule);
  const auto train =
      train::load_rows(run.recipe, run.recipe.data.files, data::Part::kTrain, *run.source, true);
  demand_rows(*train, table.ids);
  std::vector<std::int64_t> ids = cleaning.ids;
  if (flags.random) ids = valuation::random_removed(table, rule, ids.size(), flags.seed);
  const fs::path folder = flags.out;
  check_value_folder(folder, {"recipe.yaml"}, flags.force);
  train::Recipe recipe = run.recipe;
  const auto dropped = data::dropped_rows(recipe.data.files, *train, ids);
  const auto lists = data::write_dropped_rows(dropped, folder, flags.force, recipe.data.files);
  recipe.output.clear();
  const fs::path recipe_path = folder / "recipe.yaml";
  write_file_atomic(recipe_path, recipe.to_yaml());
  std::vector<std::string> files = {recipe_path.string()};
  for (const auto& list : lists) files.push_back(list.string());
  if (train->is_text()) {
    for (const data::DroppedRows& one : dropped) {
      const fs::path copy = folder / data::copy_name(one.file);
      data::copy_without_rows(one.file, copy, one.rows, recipe.data.files.format, flags.force);
      files.push_back(copy.string());
    }
  }
  if (flags.json) {
    context.out << json_text(Json{{"rows", ids.size()}, {"of", table.ids.size()}, {"files", files}})
                << "\n";
    return;
  }
  context.out << fmt::format("{} of {} training rows are left out{}.\n",
                             ids.size(),
                             table.ids.size(),
                             flags.random ? ", drawn at random for comparison" : "");
  if (flags.harmful && !cleaning.has_errors) {
    context.out << "No standard errors are known, so none is judged harmful.\n";
  }
  for (const auto& file : files) context.out << "wrote " << text::printable(file) << "\n";
  context.out << "Train without them: detente train "
              << text::printable(text::shell_word(recipe_path.string())) << " --out RUN\n";
}

}  // namespace

void add_value_clean(CLI::App& value, Context& context) {
  CLI::App* command =
      value.add_subcommand("clean", "Write a recipe that trains without the rows that harm");
  auto flags = std::make_shared<CleanFlags>();
  command->add_option("RUN", flags->run, "Folder of the run that the values are of")->required();
  command->add_option("--values", flags->values, "values.csv; default: the run's own");
  command->add_option("--drop-harmful",
                      flags->judged,
                      "The task that the rows left out harm; default: the only one");
  command->add_option("--trained", flags->trained, "Values as one trained for this task alone");
  command->add_option(
      "--modality", flags->modality, "Values through this part of the example or network alone");
  command->add_option("--below", flags->quantile, "So large a share at most: the lowest values")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--below-value", flags->below, "Only values below this number");
  command->add_flag(
      "--certain", flags->harmful, "Only rows whose verdict is harmful (2 standard errors)");
  command->add_option("--spare", flags->spare, "Keep rows that are worth something to these tasks");
  command->add_flag("--random", flags->random, "As many rows, drawn at random: for comparison");
  command->add_option("--seed", flags->seed, "Of --random")->capture_default_str();
  command->add_option("--out", flags->out, "Folder for recipe.yaml and drop.txt")->required();
  add_set_flag(*command, flags->overrides);
  command->add_flag("--force", flags->force, "Write over earlier files of these names");
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_flag("--json", flags->json, "Print {\"rows\": n, \"of\": n, \"files\": [...]}");
  command->callback([flags, &context] { run_clean(*flags, context); });
}

}  // namespace detente::cli
