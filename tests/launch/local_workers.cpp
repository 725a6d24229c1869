// SPDX-License-Identifier: Apache-2.0
// run_local_workers() as a program: COUNT RESTARTS SETTLE_MS GRACE_MS PROGRAM ARGUMENT...
#include <detente/launch/local_workers.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  detente::launch::LocalWorkers workers;
  workers.count = std::stoi(argv[1]);
  workers.max_restarts = std::stoi(argv[2]);
  workers.settle = std::chrono::milliseconds(std::stoi(argv[3]));
  workers.grace = std::chrono::milliseconds(std::stoi(argv[4]));
  workers.command = [&](int) { return std::vector<std::string>(argv + 5, argv + argc); };
  return detente::launch::run_local_workers(workers, std::cerr);
}
