// SPDX-License-Identifier: Apache-2.0
// detente doctor --launch: what a launcher has told this process, and how to start several.
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

// False where the variables do not fit each other, or name a machine that is none.
bool explain_launch(bool json, Context& context);

}  // namespace detente::cli
