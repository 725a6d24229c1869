// SPDX-License-Identifier: Apache-2.0
// A recipe of reinforcement learning: it has a section `worlds` where others have `data`. Read strictly, as those
// are (train/recipe.h).
#pragma once

#include <detente/balance/method.h>
#include <detente/control/agent_options.h>
#include <detente/core/fields.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/worlds/replay.h>
#include <detente/worlds/worker_worlds.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::control {

struct MethodChoice {
  std::string method = "ew";
  std::shared_ptr<balance::Method> balance;

  void describe(FieldVisitor& visitor);
};

struct ReplayRecipe {
  std::int64_t capacity = 1000000;
  worlds::ReplaySampling sampling = worlds::ReplaySampling::kUniform;

  void describe(FieldVisitor& visitor);
};

// A vector step is one transition in each task.
struct LoopRecipe {
  std::int64_t steps = 2000000;
  std::int64_t batch_size = 1280;
  std::int64_t first_steps = 1500;
  std::int64_t first_updates = -1;  // -1: as many as first_steps
  std::int64_t updates = 1;
  std::int64_t log_every = 100;
  std::int64_t evaluate_every = 10000;
  std::int64_t episodes = 1;
  double snapshot_minutes = 10;

  void describe(FieldVisitor& visitor);
};

struct Recipe {
  std::string name;
  std::int64_t seed = 0;
  std::int64_t threads = 0;
  std::string device = "auto";
  worlds::WorkerOptions worlds;
  AgentOptions agent;
  MethodChoice critic;
  MethodChoice actor;
  MethodChoice temperature;
  engine::MultiTaskOptions engine;
  ReplayRecipe replay;
  LoopRecipe loop;
  std::string output;
  bool tensorboard = true;

  void describe(FieldVisitor& visitor);
  std::string to_yaml() const;
  // "cagrad", or which network has which.
  std::string methods() const;
};

// Whether the file says `worlds:`. Errors are the reader's that comes after: false for what cannot be read, or not
// twice (a pipe).
bool is_control_recipe(const std::filesystem::path& path);

// As train::load_recipe. Throws kInvalidArgument with file and line where there is one.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

// What keeps a run started with `before` (YAML) from going on with `now`, one line per key. How many steps, where
// and with how many workers do not count.
std::vector<std::string> recipe_differences(const std::string& before, const std::string& now);

// docs/recipe_agents.md: every key, from describe().
std::string recipe_markdown();

}  // namespace detente::control
