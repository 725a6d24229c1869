// SPDX-License-Identifier: Apache-2.0
// What every command gets. A command is one file: it registers its flags on a CLI::App and leaves
// a callback; errors are thrown as detente::Error and turned into messages and exit codes by run().
#pragma once

#include <iosfwd>

namespace CLI {
class App;
}

namespace detente::cli {

struct Context {
  std::ostream& out;  // results: tables for people, JSON with --json
  std::ostream& err;  // progress, warnings, errors
  int exit_code = 0;  // a command may set it (doctor --strict, an interrupted run)
};

using AddCommand = void (*)(CLI::App& app, Context& context);

}  // namespace detente::cli
