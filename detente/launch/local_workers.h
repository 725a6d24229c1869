// SPDX-License-Identifier: Apache-2.0
// The processes of one run on this machine (`detente train --nproc N`): started, watched, told of signals,
// ended together, and started anew where that helps.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace detente::launch {

inline constexpr int kMostLocalWorkers = 256;

struct LocalWorkers {
  int count = 2;
  // The program and its arguments at a restart, 0 for the first start; asked before each.
  std::function<std::vector<std::string>(int restart)> command;
  // More variables for all of them; those that read_launch() reads are set here.
  std::vector<std::pair<std::string, std::string>> variables;
  int max_restarts = 0;
  int attempt = 0;        // of the first start: a job may have been started before
  bool terminal = false;  // whether `err` is a terminal, where rank 0 may be drawing a line
  // After the first failure the others have this long to end by themselves and say what they saw, ...
  std::chrono::milliseconds settle{1000};
  // ... and after SIGTERM this long until SIGKILL.
  std::chrono::milliseconds grace{5000};
};

// Runs them to their end and gives the exit code of the whole: 0 where all of them ended with 0, else that of
// the first that failed by its own fault (128 and the signal's number where a signal ended it), or
// kLostOthers where all only lost each other, 130 where they were interrupted.
//
// Rank 0 has this process's output and errors. What the others say, on either, comes to `err` line by line
// with "[RANK] " before it. They read nothing. SIGINT, SIGTERM, SIGHUP (the first and last not where they are
// ignored) and SIGUSR1 are passed on to each, once for each that comes; after the second of the former they
// have `grace` to end, the third kills. Ctrl-Z stops and continues all. When this process ends, however it
// does, they get SIGKILL (Linux).
//
// After a failure by a signal, or where processes lost each other, all are started again up to `max_restarts`
// times, at a new port and with the attempt's number; an error that a worker has told by its exit code would
// come again. Says on `err` which rank failed and how. Throws kIo where they cannot be started,
// kInvalidArgument where `count` is not 1 to kMostLocalWorkers. Not for several threads at once: signals
// belong to the process.
int run_local_workers(const LocalWorkers& workers, std::ostream& err);

}  // namespace detente::launch
