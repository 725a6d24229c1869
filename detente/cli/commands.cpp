// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/commands.h>

#include <vector>

namespace detente::cli {

// Each is defined in its own file, <name>.cpp, and shown by --help in the order of the table.
void add_doctor(CLI::App& app, Context& context);
void add_methods(CLI::App& app, Context& context);
void add_solve(CLI::App& app, Context& context);

std::span<const AddCommand> commands() {
  static const std::vector<AddCommand> table = {
      add_methods,
      add_solve,
      add_doctor,
  };
  return table;
}

}  // namespace detente::cli
