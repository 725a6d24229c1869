// SPDX-License-Identifier: Apache-2.0
// Training an agent: recipe in, run directory out. The folder has the files of every run (train/run_directory.h): a
// line of metrics.jsonl for every log_every-th update, an epoch for every evaluation, model.safetensors with the
// actor of the best one.
//
//   replay/step-N.safetensors   the transitions that snapshot N goes on with
//
// A resumed run goes on to the bit where the environments' state can be had (Worlds::exact_state); with others each task
// begins a new episode there.
#pragma once

#include <detente/control/recipe.h>
#include <detente/core/json.h>
#include <detente/train/progress.h>
#include <detente/train/run_directory.h>

#include <filesystem>
#include <iosfwd>

namespace detente::control {

struct TrainOptions {
  std::filesystem::path out;  // empty: the recipe's output.dir
  train::ExistingRun existing = train::ExistingRun::kRefuse;
  train::Progress::Style progress = train::Progress::Style::kLines;
};

struct TrainOutcome {
  train::RunDirectory run;
  bool interrupted = false;
  Json summary;  // as in summary.json
};

// Until the last step or an interrupt; then everything is saved. Throws detente::Error.
TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log);

}  // namespace detente::control
