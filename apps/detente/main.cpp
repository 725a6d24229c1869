// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/cli.h>
#include <detente/machine/startup.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  detente::machine::occupy_closed_streams();
  detente::machine::cure_and_restart(argc, argv);
  detente::machine::keep_freed_memory();
  // A file that reaches its limit (ulimit -f) is then an error of writing with its message.
  std::signal(SIGXFSZ, SIG_IGN);
  const std::vector<std::string> args(argv + 1, argv + argc);
  return detente::cli::run(args, std::cout, std::cerr);
}
