// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/train_workers.h>
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/terminal.h>
#include <detente/launch/launch.h>
#include <detente/launch/local_workers.h>
#include <detente/machine/process.h>
#include <detente/train/run_directory.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

// Whether there is a run to go on with that this command has begun. What --force was to replace may be
// there still; without it an earlier run would have been refused.
bool has_begun_here(const TrainWorkers& workers,
                    const std::vector<std::string>& arguments,
                    fs::file_time_type start) {
  const train::RunDirectory run{workers.run};
  if (!run.has_begun()) return false;
  if (std::find(arguments.begin(), arguments.end(), "--force") == arguments.end()) return true;
  std::error_code error;
  return fs::last_write_time(run.recipe(), error) >= start && !error;
}

// The command line of each process. A run that was begun is gone on with, not begun anew or refused.
std::vector<std::string> worker_arguments(const std::vector<std::string>& all, bool resume) {
  std::vector<std::string> kept;
  for (auto word = all.begin(); word != all.end(); ++word) {
    if (*word == "--nproc" || *word == "--max-restarts") {
      if (++word == all.end()) break;  // its value
      continue;
    }
    if (word->starts_with("--nproc=") || word->starts_with("--max-restarts=")) continue;
    if (resume && (*word == "--resume" || *word == "--force")) continue;
    kept.push_back(*word);
  }
  if (resume) kept.emplace_back("--resume");
  return kept;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// The cores are shared out where neither recipe nor environment says how many threads a process takes: each
// would take them all.
void share_cores(const TrainWorkers& workers, launch::LocalWorkers& plan, Context& context) {
  const int cores = machine::usable_cores();
  const int share = std::max(1, cores / workers.processes);
  if (workers.processes > cores) {
    tell(context,
         "warning",
         fmt::format(
             "{} processes share {} core{}: this is for trying things out, and no faster than "
             "--nproc {}.",
             workers.processes,
             cores,
             cores == 1 ? "" : "s",
             cores));
  } else if (workers.threads > share) {
    tell(context,
         "warning",
         fmt::format(
             "{} processes of {} threads each (`threads` of the recipe) share {} cores; 'threads: "
             "0' gives each its part.",
             workers.processes,
             workers.threads,
             cores));
  }
  if (workers.threads == 0 && !is_set("OMP_NUM_THREADS")) {
    plan.variables.emplace_back("OMP_NUM_THREADS", std::to_string(share));
  }
}

}  // namespace

int train_in_workers(const TrainWorkers& workers, Context& context) {
  const launch::Launch launch = launch::read_launch();
  DETENTE_CHECK(
      launch.size == 1,
      ErrorCode::kInvalidArgument,
      "[cli::train] --nproc starts processes of its own, and {} has started this one as rank "
      "{} of {} already; expected one or the other. Leave --nproc out here, or start the "
      "command without {}. A process that is meant to be alone is told so by "
      "DETENTE_LAUNCHER=none.",
      launch.by,
      launch.rank,
      launch.size,
      launch.by);
  launch::LocalWorkers plan;
  plan.count = workers.processes;
  plan.max_restarts = workers.max_restarts;
  plan.attempt = launch.attempt;
  plan.terminal = &context.err == &std::cerr && error_is_terminal();
  const fs::file_time_type start = fs::file_time_type::clock::now();
  plan.command = [&](int restart) {
    const bool resume = plan.attempt + restart > 0 &&
                        (restart == 0 || has_begun_here(workers, context.arguments, start)) &&
                        train::RunDirectory{workers.run}.has_begun();
    std::vector<std::string> command = worker_arguments(context.arguments, resume);
    command.insert(command.begin(), own_program().string());
    return command;
  };
  share_cores(workers, plan, context);
  return launch::run_local_workers(plan, context.err);
}

}  // namespace detente::cli
