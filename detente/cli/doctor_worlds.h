// SPDX-License-Identifier: Apache-2.0
// detente doctor --metaworld: whether a Python here can run Meta-World, and how it gets there.
#pragma once

#include <detente/cli/command.h>

#include <string>

namespace detente::cli {

// `python` empty: $DETENTE_PYTHON, else python3. False where it cannot.
bool explain_metaworld(const std::string& python, bool json, Context& context);

}  // namespace detente::cli
