// SPDX-License-Identifier: Apache-2.0
// detente bench kernels: the loops of our own beside LibTorch's routines.
#include <detente/cli/bench.h>
#include <detente/core/json_text.h>
#include <detente/machine/process.h>
#include <detente/measure/kernel_benchmark.h>
#include <detente/report/table.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct KernelFlags {
  measure::KernelBenchmarkOptions options;
  bool json = false;
};

std::string kernel_ms(double ms) { return fmt::format("{:.{}f}", ms, ms < 1 ? 3 : 2); }

std::string kernels_text(const std::vector<measure::KernelTime>& rows) {
  using report::Align;
  report::Table table({{"kernel"},
                       {"shape"},
                       {"target"},
                       {"ms", Align::kRight},
                       {"GFLOPS", Align::kRight},
                       {"GB/s", Align::kRight},
                       {"LibTorch ms", Align::kRight}});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const measure::KernelTime& row = rows[i];
    if (i > 0 && rows[i - 1].kernel != row.kernel) table.add_rule();
    table.add_row({row.kernel,
                   row.shape,
                   row.target,
                   kernel_ms(row.ms),
                   fmt::format("{:.1f}", row.gflops),
                   fmt::format("{:.1f}", row.gbs),
                   kernel_ms(row.ms_libtorch)});
  }
  return table.text();
}

void bench_kernels(const KernelFlags& flags, Context& context) {
  const auto before = machine::look_at_process().cpu;
  const bool terminal = isatty(STDERR_FILENO) == 1 && !flags.json;
  const auto rows =
      measure::measure_kernels(flags.options, [&](std::int64_t done, std::int64_t all) {
        if (terminal) context.err << fmt::format("\r{}/{} shapes", done, all) << std::flush;
      });
  if (terminal) context.err << "\r" << std::string(24, ' ') << "\r";
  const double load_after = machine::look_at_process().cpu.load;
  if (flags.json) {
    Json all = Json::array();
    for (const auto& row : rows) all.push_back(row.to_json());
    Json json = bench_machine();
    json["threads"] = flags.options.threads;
    json["load_before"] = json_number(before.load);
    json["load_after"] = json_number(load_after);
    json["rows"] = all;
    context.out << json_text(json) << "\n";
    return;
  }
  context.out << kernels_text(rows)
              << fmt::format(
                     "\nMedians of calls in turn on {} thread(s). GFLOPS: of the operations that "
                     "are needed. LibTorch chooses its\ninstructions itself (ATEN_CPU_CAPABILITY, "
                     "MKL_ENABLE_INSTRUCTIONS).\n{}\nLoad average {:.2f} before and {:.2f} after; "
                     "other programs lengthen the times.\n",
                     flags.options.threads,
                     bench_machine_text(),
                     before.load,
                     load_after);
}

}  // namespace

void add_bench_kernels(CLI::App& bench, Context& context) {
  auto flags = std::make_shared<KernelFlags>();
  measure::KernelBenchmarkOptions& options = flags->options;
  CLI::App* command = bench.add_subcommand(
      "kernels", "The loops of our own on every instruction set, beside LibTorch's routines");
  command
      ->add_option("--kernel",
                   options.kernels,
                   fmt::format("Only these: {}", fmt::join(measure::kernel_names(), ", ")))
      ->type_name("NAME");
  command->add_option("--threads", options.threads, "Threads of LibTorch")->capture_default_str();
  command->add_option("--seconds", options.seconds, "Time for all rows together, about")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->callback([flags, &context] { bench_kernels(*flags, context); });
}

}  // namespace detente::cli
