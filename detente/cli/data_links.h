// SPDX-License-Identifier: Apache-2.0
// detente data links GRAPH --out FOLDER
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

void add_data_links(CLI::App& group, Context& context);

}  // namespace detente::cli
