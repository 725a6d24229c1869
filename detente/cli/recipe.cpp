// SPDX-License-Identifier: Apache-2.0
// detente recipe check|show|docs
#include <detente/cli/command.h>
#include <detente/cli/recipe_flags.h>
#include <detente/control/recipe.h>
#include <detente/text/printable.h>
#include <detente/train/recipe.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct RecipeFlags {
  std::string recipe;
  std::vector<std::string> overrides;
};

CLI::App* add_recipe_subcommand(CLI::App& parent,
                                const char* name,
                                const char* description,
                                const std::shared_ptr<RecipeFlags>& flags) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->add_option("RECIPE", flags->recipe, "The recipe file")->required();
  add_set_flag(*command, flags->overrides);
  return command;
}

void check_recipe(const RecipeFlags& flags, Context& context) {
  if (control::is_control_recipe(flags.recipe)) {
    const control::Recipe recipe = control::load_recipe(flags.recipe, flags.overrides);
    context.out << "'" << text::printable(flags.recipe) << "' is a valid recipe: an agent in "
                << text::printable(recipe.worlds.environment) << ", method " << recipe.methods()
                << ", " << recipe.loop.steps << " vector steps.\n";
    return;
  }
  const train::Recipe recipe = train::load_recipe(flags.recipe, flags.overrides);
  for (const std::string& note : recipe.notes) tell(context, "notice", note);
  context.out << "'" << text::printable(flags.recipe)
              << "' is a valid recipe: " << recipe.tasks.size() << " tasks, method "
              << recipe.method << ", " << recipe.loop.epochs << " epochs.\n";
}

std::string full_recipe(const RecipeFlags& flags) {
  if (control::is_control_recipe(flags.recipe)) {
    return control::load_recipe(flags.recipe, flags.overrides).to_yaml();
  }
  return train::load_recipe(flags.recipe, flags.overrides).to_yaml();
}

}  // namespace

void add_set_flag(CLI::App& command, std::vector<std::string>& overrides) {
  command
      .add_option("--set",
                  overrides,
                  "Override a key of the recipe, e.g. --set train.epochs=3 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
}

CLI::Option* add_accept_changed_flag(CLI::App& command, bool& accept_changed) {
  return command.add_flag("--accept-changed",
                          accept_changed,
                          "Take files of the run, or rows to go on with, although they are not "
                          "what the run wrote or read");
}

void add_recipe(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("recipe", "Check a recipe or print it with every setting");
  group->require_subcommand(1);
  auto flags = std::make_shared<RecipeFlags>();
  add_recipe_subcommand(*group, "check", "Say whether the recipe is right, and why not", flags)
      ->callback([flags, &context] { check_recipe(*flags, context); });
  add_recipe_subcommand(*group, "show", "Print the recipe with every default filled in", flags)
      ->callback([flags, &context] {
        const std::string yaml = full_recipe(*flags);
        context.out << (shown_on_terminal(context) ? text::printable_lines(yaml) : yaml);
      });
  auto agents = std::make_shared<bool>(false);
  CLI::App* docs =
      group->add_subcommand("docs", "Print the reference of all keys (docs/recipe.md)");
  docs->add_flag("--agents", *agents, "Of recipes with 'worlds' (docs/recipe_agents.md)");
  docs->callback([agents, &context] {
    context.out << (*agents ? control::recipe_markdown() : train::recipe_markdown());
  });
}

}  // namespace detente::cli
