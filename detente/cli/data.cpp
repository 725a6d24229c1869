// SPDX-License-Identifier: Apache-2.0
// detente data check RECIPE; data get and data links have files of their own
#include <detente/cli/command.h>
#include <detente/cli/data_get.h>
#include <detente/cli/data_links.h>
#include <detente/cli/data_table.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/json_text.h>
#include <detente/data/inspect.h>
#include <detente/text/printable.h>
#include <detente/train/corpus.h>
#include <detente/train/recipe.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct DataCheckFlags {
  std::string recipe;
  std::vector<std::string> overrides;
  std::size_t top = 30;
  bool strict = false;
  bool json = false;
};

void run_data_check(const DataCheckFlags& flags, Context& context) {
  const train::Recipe recipe = train::load_recipe(flags.recipe, flags.overrides);
  for (const std::string& note : recipe.notes) tell(context, "notice", note);
  const data::DataFindings found =
      data::inspect_data(*recipe.data.source, recipe.data.files, train::target_columns(recipe));
  if (flags.strict && !found.warnings.empty()) context.exit_code = 1;
  if (flags.json) {
    context.out << json_text(found.to_json()) << "\n";
    return;
  }
  context.out << text::printable(recipe.name) << ": " << found.kind << ", " << recipe.tasks.size()
              << (recipe.tasks.size() == 1 ? " task" : " tasks");
  if (found.maps.empty()) {
    context.out << ", " << found.inputs.size() << (found.inputs.size() == 1 ? " input" : " inputs");
  }
  context.out << "\n\n";
  print_data_findings(found, flags.top, context.out);
  context.out << "\n";
  for (const data::DataWarning& warning : found.warnings) {
    context.out << "warning: " << text::printable(warning.text) << " [" << warning.about << "]\n";
  }
  if (found.warnings.empty()) context.out << "Nothing to complain about.\n";
}

}  // namespace

void add_data(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand(
      "data", "Look at what a recipe will be trained on, and bring data sets here");
  group->require_subcommand(1);
  add_data_get(*group, context);
  add_data_links(*group, context);
  CLI::App* command = group->add_subcommand(
      "check", "Rows, targets, inputs, duplicates and leaks of a recipe's data; trains nothing");
  auto flags = std::make_shared<DataCheckFlags>();
  command->add_option("RECIPE", flags->recipe, "The recipe file")->required();
  add_set_flag(*command, flags->overrides);
  command
      ->add_option("--top", flags->top, "Show so many inputs, pairs of tasks and classes of a task")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--strict", flags->strict, "Exit with 1 when there is a warning");
  command->add_flag("--json", flags->json, "Print everything as JSON");
  command->footer(
      "outliers: numbers more than 10 robust deviations (1.4826 x the median distance from the\n"
      "median) from the median; none where more than half of the numbers are equal. repeat "
      "another:\n"
      "rows whose inputs are all those of an earlier one. See docs/data.md.");
  command->callback([flags, &context] { run_data_check(*flags, context); });
}

}  // namespace detente::cli
