// SPDX-License-Identifier: Apache-2.0
// detente bench: what balancing costs on this machine, and what environments do.
#include <detente/cli/bench.h>
#include <detente/machine/process.h>
#include <detente/simd/caches.h>
#include <detente/simd/target.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace detente::cli {

Json bench_machine() {
  const simd::Caches& caches = simd::caches();
  return {{"cpu", machine::look_at_process().cpu.model},
          {"simd", simd::name_of(simd::target())},
          {"l1d_kb", caches.l1d >> 10},
          {"l2_kb", caches.l2 >> 10},
          {"l3_kb", caches.l3 >> 10}};
}

std::string bench_machine_text() {
  const simd::Caches& caches = simd::caches();
  return fmt::format("{}, {}, a core's caches {} KB, {} KB and {} KB",
                     machine::look_at_process().cpu.model,
                     simd::name_of(simd::target()),
                     caches.l1d >> 10,
                     caches.l2 >> 10,
                     caches.l3 >> 10);
}

void add_bench(CLI::App& app, Context& context) {
  CLI::App* bench =
      app.add_subcommand("bench", "Measure what balancing and environments cost on this machine");
  bench->require_subcommand(1);
  add_bench_solve(*bench, context);
  add_bench_worlds(*bench, context);
#ifdef DETENTE_WITH_TORCH
  add_bench_kernels(*bench, context);
  add_bench_parallel(*bench, context);
  add_bench_step(*bench, context);
#endif
}

}  // namespace detente::cli
