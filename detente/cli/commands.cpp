// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/commands.h>

#include <vector>

namespace detente::cli {

// Each is defined in its own file, <name>.cpp.

std::span<const AddCommand> commands() {
  static const std::vector<AddCommand> table = {
  };
  return table;
}

}  // namespace detente::cli
