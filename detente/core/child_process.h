// SPDX-License-Identifier: Apache-2.0
// Other programs. No shell reads the arguments; the program is looked for in PATH.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente {

// The file of the program that this process is. Throws std::filesystem::filesystem_error.
std::filesystem::path own_program();

// Runs a program to its end with this one's input, output and environment. Its exit code, or 128 and the
// signal that ended it. Throws kIo when it cannot be started.
int run_program(const std::vector<std::string>& arguments);

struct ProgramStart {
  std::vector<std::string> arguments;                          // the program and what it is told
  std::vector<std::pair<std::string, std::string>> variables;  // set beside this one's environment
  int input = -1;                                              // file descriptors; -1: this one's
  int output = -1;
  int errors = -1;
  int at_parents_end = SIGTERM;  // what it gets when this one ends, however that ends (Linux)
};

// Starts a program in a process group of its own, so that what a terminal sends (Ctrl-C) reaches this one
// alone. Signals that are ignored here are ignored there; handlers and blocked signals are not handed on to
// it. Who calls waits for it. Throws kIo where it cannot be started.
pid_t start_program(const ProgramStart& start);

// A program beside this one. It gets SIGTERM when this one ends, however it ends (Linux), and when the
// object goes.
class ChildProcess {
 public:
  // Its output and errors go behind what is in `log`, `output` (empty: none) gets its output alone, from
  // its start. It reads nothing, and has a process group of its own. Throws kIo.
  ChildProcess(const std::vector<std::string>& arguments,
               const std::filesystem::path& log,
               const std::filesystem::path& output = {});
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Its exit code, or 128 and the signal that ended it; nothing while it runs.
  std::optional<int> poll();
  int wait();
  void send(int signal) const;

 private:
  std::optional<int> reap(int options);

  pid_t pid_ = 0;
  std::optional<int> code_;
};

}  // namespace detente
