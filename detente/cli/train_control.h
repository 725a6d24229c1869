// SPDX-License-Identifier: Apache-2.0
// detente train RECIPE where the recipe has `worlds`: an agent (control/trainer.h).
#pragma once

#include <detente/cli/command.h>
#include <detente/train/progress.h>
#include <detente/train/run_directory.h>

#include <string>
#include <vector>

namespace detente::cli {

struct TrainControlFlags {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string out;
  train::ExistingRun existing = train::ExistingRun::kRefuse;
  train::Progress::Style progress = train::Progress::Style::kLines;
  int processes = 1;
  int max_restarts = 0;
  bool accept_changed = false;
  bool quiet = false;
  bool json = false;
};

void train_control(const TrainControlFlags& flags, Context& context);

}  // namespace detente::cli
