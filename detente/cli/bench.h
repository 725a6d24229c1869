// SPDX-License-Identifier: Apache-2.0
// The members of the group `detente bench`; each is defined in its own file, bench_<name>.cpp.
#pragma once

#include <detente/cli/command.h>

namespace detente::cli {

void add_bench_solve(CLI::App& bench, Context& context);
#ifdef DETENTE_WITH_TORCH
void add_bench_step(CLI::App& bench, Context& context);
#endif

}  // namespace detente::cli
