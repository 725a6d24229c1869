// SPDX-License-Identifier: Apache-2.0
// Which of the processes of a run this one is, as the launcher that started it says: `detente train --nproc`,
// torchrun, mpirun (Open MPI, MPICH), srun, or the plain variables RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
#pragma once

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
  int attempt = 0;
  std::string job;     // keeps two jobs apart that meet at one port; may be empty
  std::string by;      // "detente", "torchrun", "Open MPI", "MPICH", "SLURM", "environment"; empty: alone
  std::vector<std::string> seen;  // NAME=value of the variables that decided
};

// A variable's value, nothing where it is not set; tests give their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> environment_of_process(const std::string& name);

// Throws kInvalidArgument naming the variable where one is missing, no number, or does not fit the others.
Launch read_launch(const Environment& environment = environment_of_process);

}  // namespace detente::launch
