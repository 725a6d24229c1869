// SPDX-License-Identifier: Apache-2.0
// The members of the group `detente bench`; each is defined in its own file, bench_<name>.cpp.
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

void add_bench_solve(CLI::App& bench, Context& context);

}  // namespace detente::cli
