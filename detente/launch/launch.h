// SPDX-License-Identifier: Apache-2.0
// Which of the processes of a run this one is, as the launcher that started it says: `detente train --nproc`,
// torchrun, mpirun (Open MPI, MPICH), srun, or the plain variables RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
#pragma once

#include <detente/core/error.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace detente::launch {

struct Launch {
  int rank = 0;
  int size = 1;
  int local_rank = 0;  // among the processes of this machine
  int local_size = 1;
  // Where the processes meet: a TCP store at this address, kept by rank 0, or by the launcher where
  // `store_is_there`.
  std::string address = "127.0.0.1";
  int port = 0;  // 0: none was given and none is needed (size 1)
  bool store_is_there = false;
  // How often the launcher has started these processes anew; each attempt meets under a name of its own.
  // That of a job that SLURM has requeued is known to a process without a launcher, too.
  int attempt = 0;
  std::string job;  // keeps two jobs apart that meet at one port; may be empty
  // "detente", "torchrun", "Open MPI", "MPICH", "SLURM", "environment"; empty: none, so it is alone. A launcher
  // may have started one process only: what counts is `size`.
  std::string by;
  std::vector<std::string> seen;  // NAME=value of the variables that decided
};

// What a process ends with that has lost the others and can say no more: a launcher ends the rest and starts
// all of them again. It is never the cause of the failure.
inline const int kLostOthers = exit_code(ErrorCode::kPeerLost);

// A variable's value, nothing where it is not set; tests give their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> environment_of_process(const std::string& name);

// The first launcher of the list above whose variables are there decides (docs/parallel.md has them all); an
// empty variable counts as none. DETENTE_LAUNCHER=none says that this process is alone, whatever the rest says.
//
// What starts one process makes it alone, and so does what is no start of several at all (the shell or script
// of a SLURM allocation): nothing else of the environment is then looked at, however odd. Otherwise throws
// kInvalidArgument naming the variable that is missing, no number, or does not fit the others, and the cure.
Launch read_launch(const Environment& environment = environment_of_process);

}  // namespace detente::launch
