// SPDX-License-Identifier: Apache-2.0
// The table of commands. A new command is one declaration here, one entry in commands.cpp, and
// its own file.
#pragma once

#include <span>

#include <detente/cli/command.h>

namespace detente::cli {

std::span<const AddCommand> commands();

}  // namespace detente::cli
