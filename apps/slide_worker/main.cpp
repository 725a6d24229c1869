// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/slide_worker.h>

#include <string>
#include <vector>

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return detente::slides::run_slide_worker(arguments);
}
