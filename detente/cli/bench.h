// SPDX-License-Identifier: Apache-2.0
// The members of the group `detente bench`; each is defined in its own file, bench_<name>.cpp.
#pragma once

#include <detente/cli/command.h>
#include <detente/core/json.h>

#include <string>

namespace detente::cli {

// What every benchmark says of the machine: {"cpu", "simd", "l1d_kb", "l2_kb", "l3_kb"}; "Intel(R)
// Xeon(R) Processor, avx512, caches 48 KB, 2048 KB and 133120 KB".
Json bench_machine();
std::string bench_machine_text();

void add_bench_solve(CLI::App& bench, Context& context);
void add_bench_worlds(CLI::App& bench, Context& context);
#ifdef DETENTE_WITH_TORCH
void add_bench_kernels(CLI::App& bench, Context& context);
void add_bench_parallel(CLI::App& bench, Context& context);
void add_bench_step(CLI::App& bench, Context& context);
#endif

}  // namespace detente::cli
