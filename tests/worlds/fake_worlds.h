// SPDX-License-Identifier: Apache-2.0
// What fake_worlds.py does, in this process.
#pragma once

#include <detente/core/json.h>
#include <detente/worlds/worker_worlds.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

// So that `test::` in this folder means both.
namespace detente::test {}

namespace detente::worlds::test {

using namespace detente::test;

struct FakeSizes {
  std::size_t observation;
  std::size_t action;
  double high = 1.0;
};

inline const std::vector<FakeSizes> kFive = {{3, 2}, {4, 1}, {2, 3}, {3, 2}, {3, 2, 4.0}};
inline const std::vector<FakeSizes> kTwo = {{3, 2}, {3, 2}};

// One task: its episodes from a number on.
class Fake {
 public:
  Fake(FakeSizes sizes, std::uint64_t seed, std::uint64_t task, std::uint64_t episode, int horizon)
      : sizes_(sizes), seed_(seed), task_(task), episode_(episode), horizon_(horizon) {
    begin();
  }

  void begin() {
    const std::uint32_t seed = episode_seed(seed_, task_, episode_++);
    state_.resize(sizes_.observation);
    for (std::size_t j = 0; j < state_.size(); ++j) state_[j] = (seed >> j) % 1000 / 1000.0;
    steps_ = 0;
  }

  struct Result {
    std::vector<float> after;
    float reward;
    bool success, ended, truncated;
  };

  Result step(const float* action) {
    ++steps_;
    double reward = 0;
    for (std::size_t j = 0; j < state_.size(); ++j) {
      double force = std::clamp(static_cast<double>(action[j % sizes_.action]), -1.0, 1.0);
      if (sizes_.high != 1.0) {  // as float32, which is what environments are given
        force = static_cast<float>(-sizes_.high + (force + 1) / 2 * (2 * sizes_.high));
      }
      state_[j] = 0.5 * state_[j] + 0.25 * force + 0.01 * static_cast<double>(j);
      reward += state_[j];
    }
    const Result result{
        now(), static_cast<float>(reward), state_[0] > 0.4, state_[0] > 0.55, steps_ >= horizon_};
    if (result.ended || result.truncated) begin();
    return result;
  }

  std::vector<float> now() const { return {state_.begin(), state_.end()}; }
  std::uint64_t next_episode() const { return episode_; }

 private:
  FakeSizes sizes_;
  std::uint64_t seed_, task_, episode_;
  int horizon_;
  int steps_ = 0;
  std::vector<double> state_;
};

inline WorkerOptions fake_options(const std::string& function, std::int64_t workers) {
  WorkerOptions options;
  options.environment = "fake_worlds:" + function;
  options.workers = workers;
  options.seed = 7;
  options.path = DETENTE_SOURCE_DIR "/tests/worlds";
  options.start_limit = 60;
  options.step_limit = 30;
  // Bytecode beside a source would be a file in the checkout.
  options.variables = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  return options;
}

// A fault in an episode of a task, at a step (0: its beginning).
inline Json fault(std::uint64_t task, std::uint64_t episode, int step, const std::string& what) {
  return {{"seed", episode_seed(7, task, episode)}, {"step", step}, {"what", what}};
}

inline void add_faults(WorkerOptions& options, const std::vector<Json>& faults) {
  options.variables.emplace_back("FAKE_FAULTS", Json(faults).dump());
}

// Actions in [-1, 1] that differ from step to step.
inline std::vector<float> some_actions(const Spec& spec, std::size_t at) {
  std::vector<float> actions(spec.tasks.size() * spec.action);
  for (std::size_t i = 0; i < actions.size(); ++i) {
    actions[i] = static_cast<float>(std::sin(static_cast<double>(3 * i + 7 * at)));
  }
  return actions;
}

}  // namespace detente::worlds::test
