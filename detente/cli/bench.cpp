// SPDX-License-Identifier: Apache-2.0
// detente bench: what balancing costs on this machine.
#include <detente/cli/bench.h>

#include <CLI/CLI.hpp>

namespace detente::cli {

void add_bench(CLI::App& app, Context& context) {
  CLI::App* bench = app.add_subcommand("bench", "Measure what balancing costs on this machine");
  bench->require_subcommand(1);
  add_bench_solve(*bench, context);
#ifdef DETENTE_WITH_TORCH
  add_bench_step(*bench, context);
#endif
}

}  // namespace detente::cli
