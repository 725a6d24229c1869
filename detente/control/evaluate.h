// SPDX-License-Identifier: Apache-2.0
// What a policy reaches: whole episodes without noise, in environments of their own.
#pragma once

#include <detente/control/agent.h>
#include <detente/core/json.h>
#include <detente/report/run_record.h>
#include <detente/worlds/worlds.h>

#include <cstdint>
#include <functional>

namespace detente::control {

// Per task: "success", the share of episodes with a success at any step, and "return", the mean sum of rewards. Each
// task counts its first `episodes` episodes from now on; one that was lost counts for nothing and another takes its
// place, at most as many again (NaN where none is left). `stop` is asked after every step; true gives up, with nothing.
report::NamedTables evaluate(const Agent& agent,
                             worlds::Worlds& worlds,
                             std::int64_t episodes,
                             const std::function<bool()>& stop);

// The mean success of what evaluate() gave, as JSON, without tasks that have none; NaN of null.
double mean_success(const Json& reached);

}  // namespace detente::control
