// SPDX-License-Identifier: Apache-2.0
// detente train --nproc: the same command in several processes of this machine.
#pragma once

#include <detente/cli/command.h>

#include <cstdint>
#include <filesystem>

namespace detente::cli {

struct TrainWorkers {
  int processes = 1;
  int max_restarts = 0;
  std::int64_t threads = 0;   // of the recipe, for each process; 0: it does not say
  std::filesystem::path run;  // the run's folder
};

// Their exit code (launch/local_workers.h). Throws kInvalidArgument where a launcher has started this process
// as one of several.
int train_in_workers(const TrainWorkers& workers, Context& context);

}  // namespace detente::cli
