// SPDX-License-Identifier: Apache-2.0
// The table of commands. A new command is one declaration here, one entry in commands.cpp, and
// its own file.
#pragma once

#include <detente/cli/command.h>

#include <span>

namespace detente::cli {

std::span<const AddCommand> commands();

}  // namespace detente::cli
