// SPDX-License-Identifier: Apache-2.0
// predict --explain: which inputs the answers of a model come from.
#pragma once

#include <detente/cli/command.h>
#include <detente/cli/data_flags.h>
#include <detente/train/loaded_run.h>

namespace detente::cli {

// Permutation importance (train/importance.h) on the rows of --data, by default the run's validation
// rows: a table per task, or with `json` {"rows": n, "tasks": {task: {"metric", "value", "inputs":
// [{"input", "mean", "deviation"}]}}}.
void explain(const train::LoadedRun& run, const DataFlags& data, bool json, Context& context);

}  // namespace detente::cli
