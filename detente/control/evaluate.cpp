// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/control/evaluate.h>
#include <detente/control/rows.h>
#include <detente/core/moments.h>

#include <algorithm>
#include <vector>

namespace detente::control {
namespace {

struct Tally {
  std::int64_t left = 0;
  std::int64_t spare = 0;  // lost ones that may be made good
  std::int64_t done = 0;
  double successes = 0;
  double sum = 0;
  // Of the episode under way.
  bool success = false;
  double so_far = 0;

  void begin() {
    success = false;
    so_far = 0;
  }
  void count() {
    --left;
    ++done;
    successes += success ? 1 : 0;
    sum += so_far;
    begin();
  }
  void lose() {
    if (spare > 0) {
      --spare;
    } else {
      --left;
    }
    begin();
  }
  report::NamedNumbers numbers() const {
    const auto n = static_cast<double>(done);
    return {{"success", done > 0 ? successes / n : report::kNoNumber},
            {"return", done > 0 ? sum / n : report::kNoNumber}};
  }
};

}  // namespace

report::NamedTables evaluate(const Agent& agent,
                             worlds::Worlds& worlds,
                             std::int64_t episodes,
                             const std::function<bool()>& stop) {
  const worlds::Spec& spec = worlds.spec();
  std::vector<Tally> tallies(spec.tasks.size(), Tally{.left = episodes, .spare = episodes});
  const TaskCounts one_each(spec.tasks.size(), 1);
  worlds.reset();
  while (std::any_of(tallies.begin(), tallies.end(), [](const Tally& t) { return t.left > 0; })) {
    const at::Tensor actions =
        agent.act(rows_of(worlds.observations(), spec.observation), one_each, nullptr);
    const worlds::Step& step = worlds.step(numbers_of(actions));
    for (std::size_t k = 0; k < tallies.size(); ++k) {
      Tally& tally = tallies[k];
      if (tally.left <= 0) continue;
      if (step.lost[k] != 0) {
        tally.lose();
        continue;
      }
      tally.success = tally.success || step.success[k] != 0;
      tally.so_far += step.rewards[k];
      if (step.over(k)) tally.count();
    }
    if (stop()) return {};
  }
  report::NamedTables tables;
  for (std::size_t k = 0; k < tallies.size(); ++k) {
    tables.emplace_back(spec.tasks[k], tallies[k].numbers());
  }
  return tables;
}

double mean_success(const Json& reached) {
  std::vector<double> values;
  for (const auto& [task, numbers] : reached.items()) {
    values.push_back(report::number_at(numbers, "success"));
  }
  return finite_moments(values).mean;
}

}  // namespace detente::control
