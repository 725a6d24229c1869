// SPDX-License-Identifier: Apache-2.0
// The command `detente data get`, a part of `detente data`.
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

void add_data_get(CLI::App& group, Context& context);

}  // namespace detente::cli
