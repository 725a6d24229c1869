// SPDX-License-Identifier: Apache-2.0
// What a line of metrics.jsonl says of an agent's update, and of the steps since the line before.
#pragma once

#include <detente/control/agent.h>
#include <detente/report/run_record.h>

#include <cstdint>
#include <string>
#include <vector>

namespace detente::control {

struct Window {
  std::int64_t steps = 0;
  double worlds_s = 0;
  double updates_s = 0;
  double episodes = 0;   // of training that ended
  double successes = 0;  // of those
};

// The critics' losses, weights and cosines, as a step of any run has them; under monitor "actor" (mean loss),
// "entropy", "temperature" (mean) and "train_success". Epoch, step and learning rate are the caller's.
report::StepRecord line_of(const std::vector<std::string>& tasks,
                           const UpdateReport& report,
                           const Window& window);

}  // namespace detente::control
