// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/negative_losses.h>
#include <detente/balance/registry.h>
#include <detente/config/differences.h>
#include <detente/config/kinds.h>
#include <detente/config/tree.h>
#include <detente/control/recipe.h>
#include <detente/core/error.h>
#include <detente/data/source_files.h>
#include <detente/train/run_fields.h>
#include <fmt/format.h>

#include <set>
#include <system_error>
#include <utility>

namespace detente::control {
namespace {

constexpr NumberRule kCount{.min = 1, .max = 1e12};

Describe describe_of(Recipe& recipe) {
  return [&recipe](FieldVisitor& visitor) { recipe.describe(visitor); };
}

}  // namespace

void MethodChoice::describe(FieldVisitor& visitor) {
  visitor.kind("method",
               method,
               balance::method_names(),
               balance,
               balance::make_method,
               "How the tasks' gradients for this network are reconciled; `detente methods` "
               "explains each, ew is plain "
               "training. The method's options stand beside it. Those that look at losses and need "
               "them positive "
               "(uw, famo and others) can serve the critics alone.");
}

void ReplayRecipe::describe(FieldVisitor& visitor) {
  visitor.integer("capacity",
                  capacity,
                  {.min = 1, .max = 4e9},
                  "Transitions of all tasks that are remembered; the oldest go first.");
  visitor.choice("sampling",
                 sampling,
                 {{"uniform", worlds::ReplaySampling::kUniform},
                  {"stratified", worlds::ReplaySampling::kStratified}},
                 "uniform: a batch is any transitions, so a task's share varies; stratified: the "
                 "same number of each task.");
}

void LoopRecipe::describe(FieldVisitor& visitor) {
  visitor.integer("steps", steps, kCount, "Vector steps: each is one transition in every task.");
  visitor.integer("batch_size",
                  batch_size,
                  {.min = 1, .max = 1e7},
                  "Transitions of all tasks together in an update.");
  visitor.integer("first_steps",
                  first_steps,
                  kCount,
                  "So many vector steps at first act at random and learn nothing.");
  visitor.integer("first_updates",
                  first_updates,
                  {.min = -1, .max = 1e12},
                  "Updates that follow them at once; -1: as many as first_steps.");
  visitor.integer(
      "updates", updates, {.min = 0, .max = 1e6}, "Updates after each later vector step.");
  visitor.integer("log_every", log_every, kCount, "Updates between two lines of metrics.jsonl.");
  visitor.integer("evaluate_every",
                  evaluate_every,
                  kCount,
                  "Vector steps between two evaluations, in which the policy acts without noise in "
                  "environments of "
                  "their own.");
  visitor.integer(
      "episodes", episodes, {.min = 1, .max = 1e6}, "Episodes of each task in an evaluation.");
  visitor.number(
      "snapshot_minutes",
      snapshot_minutes,
      {.min = 0, .max = 1e6},
      "Also snapshot between evaluations after so many minutes; 0: only after evaluations.");
}

void Recipe::describe(FieldVisitor& visitor) {
  visitor.text("name", name, "Shown in reports.");
  visitor.integer("seed",
                  seed,
                  {.min = 0, .max = 9e15},
                  "Decides initial weights, actions, batches and random methods.");
  train::describe_machine(visitor, threads, device);
  visitor.section("worlds", "", [this](FieldVisitor& s) { worlds.describe(s); });
  visitor.section("agent", "", [this](FieldVisitor& s) { agent.describe(s); });
  visitor.section("balance", "", [this](FieldVisitor& s) {
    s.section("critic", "", [this](FieldVisitor& part) { critic.describe(part); });
    s.section("actor", "", [this](FieldVisitor& part) { actor.describe(part); });
    s.section("temperature", "", [this](FieldVisitor& part) { temperature.describe(part); });
  });
  visitor.section("engine", "", [this](FieldVisitor& s) { engine.describe(s); });
  visitor.section("replay", "", [this](FieldVisitor& s) { replay.describe(s); });
  visitor.section("train", "", [this](FieldVisitor& s) { loop.describe(s); });
  train::describe_output(visitor, output, tensorboard);
}

std::string Recipe::to_yaml() const {
  Recipe copy = *this;
  return config::to_yaml(describe_of(copy));
}

std::string Recipe::methods() const {
  if (actor.method == critic.method && temperature.method == critic.method) return critic.method;
  return fmt::format(
      "critic {}, actor {}, temperature {}", critic.method, actor.method, temperature.method);
}

bool is_control_recipe(const std::filesystem::path& path) {
  // A pipe can be read but once, and a table is refused by its name, not read.
  constexpr std::uintmax_t kMostBytes = 1U << 20U;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (std::filesystem::file_size(path, error) > kMostBytes) return false;
  try {
    return config::load_yaml(path).find("worlds") != nullptr;
  } catch (const Error&) {
    return false;
  }
}

Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  config::Node root = config::load_yaml(path);
  for (const std::string& assignment : overrides) {
    Recipe pattern;
    config::drop_replaced_options(root, assignment, describe_of(pattern));
    config::apply_override(root, assignment);
  }
  Recipe recipe;
  config::read_fields(root, describe_of(recipe));
  const std::string where = "[control::load_recipe] " + path.string();
  if (recipe.name.empty()) recipe.name = path.stem().string();
  DETENTE_CHECK(
      !recipe.worlds.environment.empty(),
      ErrorCode::kInvalidArgument,
      "{}: 'worlds.environment' is missing; expected what is acted in, such as metaworld:MT10 or "
      "point-mass:4 (docs/worlds.md).",
      where);
  DETENTE_CHECK(recipe.engine.strategy != engine::Strategy::kFeatures,
                ErrorCode::kInvalidArgument,
                "{}: engine.strategy features is not for agents. Leave it out.",
                where);
  DETENTE_CHECK(recipe.replay.capacity >= recipe.loop.batch_size,
                ErrorCode::kInvalidArgument,
                "{}: replay.capacity is {}, less than one batch (train.batch_size {}).",
                where,
                recipe.replay.capacity,
                recipe.loop.batch_size);
  DETENTE_CHECK(
      recipe.loop.first_steps < recipe.loop.steps,
      ErrorCode::kInvalidArgument,
      "{}: train.first_steps is {} of train.steps {}: all would be at random, and nothing "
      "learned. Ask for fewer, or for more steps.",
      where,
      recipe.loop.first_steps,
      recipe.loop.steps);
  // Asked of copies, which the question changes.
  Recipe scratch;
  config::read_fields(root, describe_of(scratch));
  for (const auto& [part, choice] :
       {std::pair{"actor", &scratch.actor}, std::pair{"temperature", &scratch.temperature}}) {
    DETENTE_CHECK(
        choice->balance == nullptr || !balance::refuses_negative_losses(*choice->balance),
        ErrorCode::kInvalidArgument,
        "{}: balance.{}.method is {}, which refuses negative losses, and the loss of the {} has no "
        "sign of its own. Choose one that looks at gradients (pcgrad, cagrad, mgda, ...), or leave "
        "it out; the critics can have {}.",
        where,
        part,
        choice->method,
        part,
        choice->method);
  }
  if (!recipe.worlds.path.empty()) {
    recipe.worlds.path =
        data::absolute_path(recipe.worlds.path, std::filesystem::absolute(path).parent_path());
  }
  return recipe;
}

std::vector<std::string> recipe_differences(const std::string& before, const std::string& now) {
  static const std::set<std::string> harmless = {"name",
                                                 "threads",
                                                 "device",
                                                 "output.dir",
                                                 "output.tensorboard",
                                                 "train.steps",
                                                 "train.snapshot_minutes",
                                                 "worlds.workers",
                                                 "worlds.python",
                                                 "worlds.path",
                                                 "worlds.start_limit",
                                                 "worlds.step_limit",
                                                 "worlds.most_losses"};
  return config::differences(
      before, now, [](const std::string& key) { return harmless.contains(key); });
}

std::string recipe_markdown() {
  Recipe recipe;
  return "# Keys of an agent's recipe\n\n"
         "Made by `detente recipe docs --agents`; [control.md](control.md) explains how they work "
         "together. Unknown keys, wrong types and impossible values are refused with file and "
         "line. "
         "`--set key=value` on the command line overrides the file.\n\n" +
         config::fields_markdown(describe_of(recipe));
}

}  // namespace detente::control
