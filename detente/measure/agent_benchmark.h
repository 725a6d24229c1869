// SPDX-License-Identifier: Apache-2.0
// An update of soft actor-critic as a step: critics, actor, temperature and targets (control/agent.h) on random
// transitions, beside the plain multi-task agent's on the same.
#pragma once

#include <detente/measure/step_benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace detente::measure {

// "sac_mt10": 10 tasks, 39 numbers of observation, 4 of action, 400-400-400, as the published experiments on
// Meta-World have them; "sac_mt50": 50 tasks.
std::vector<std::string> agent_model_names();

// `ms_floor` is that of an agent with a pass per task through all rows, as published code has it. Single input, other optimisers and estimates
// are refused (kInvalidArgument).
StepBenchmarkResult measure_agent_update(
    const StepBenchmarkOptions& options,
    const std::function<void(std::int64_t, std::int64_t)>& progress);

}  // namespace detente::measure
