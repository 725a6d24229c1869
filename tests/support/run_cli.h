// SPDX-License-Identifier: Apache-2.0
// The command line, run in-process.
#pragma once

#include <detente/cli/cli.h>
#include <detente/core/json.h>

#include <sstream>
#include <string>
#include <vector>

namespace detente::test {

struct CliRun {
  int exit_code = 0;
  std::string out;
  std::string err;

  Json json() const { return Json::parse(out); }
};

inline CliRun run_cli(const std::vector<std::string>& args) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = cli::run(args, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace detente::test
