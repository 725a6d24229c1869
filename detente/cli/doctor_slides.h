// SPDX-License-Identifier: Apache-2.0
// detente doctor --slides: whether whole slides can be read here, and how to get there.
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

// Reads a slide that it makes. False where that cannot be done.
bool explain_slides(bool json, Context& context);

}  // namespace detente::cli
