// SPDX-License-Identifier: Apache-2.0
// Results as people read them in a terminal.
#pragma once

#include <detente/core/json.h>

#include <iosfwd>

namespace detente::cli {

// {"score": {"pearson": 0.61, "mae": 0.9}, ...} as one row per task and metric.
void print_task_metrics(const Json& tasks, std::ostream& out);

// A run's summary.json: what was trained, the metrics, how much the tasks fought.
void print_summary(const Json& summary, std::ostream& out);

}  // namespace detente::cli
