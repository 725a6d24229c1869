// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/cli/command.h>

namespace CLI {
class App;
}

namespace detente::cli {

// The subcommand `clean` of `value`.
void add_value_clean(CLI::App& value, Context& context);

}  // namespace detente::cli
