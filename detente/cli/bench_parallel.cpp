// SPDX-License-Identifier: Apache-2.0
// detente bench parallel: a step of several processes, for every way of sharing the tasks' gradients.
#include <detente/cli/bench.h>
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/launch/launch.h>
#include <detente/launch/local_workers.h>
#include <detente/machine/process.h>
#include <detente/measure/parallel_benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct ParallelFlags {
  measure::ParallelBenchmarkOptions options;
  int world = 2;
  bool json = false;
};

std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / 1e6);
}

void show(std::ostream& out,
          const ParallelFlags& flags,
          const measure::ParallelBenchmarkResult& result) {
  const auto& options = flags.options;
  out << fmt::format(
      "{}, {} input, {} tasks, {} shared parameters, {} of the tasks' own, {} processes of {} "
      "thread(s), {} examples each, method {}\n{}\n\n",
      options.model,
      options.input,
      options.tasks,
      result.parameters,
      result.own_parameters,
      result.world,
      options.threads,
      options.batch,
      options.method,
      bench_machine_text());
  out << fmt::format("{:<10}{:>12}{:>14}{:>10}{:>12}{:>14}{:>16}\n",
                     "mode",
                     "ms a step",
                     "of it waiting",
                     "overlap",
                     "MB sent",
                     "MB of scheme",
                     "MB of gradients");
  for (const auto& row : result.rows) {
    out << fmt::format("{:<10}{:>12.2f}{:>14.2f}{:>9.0f}%{:>12}{:>14}{:>16}\n",
                       row.mode,
                       row.ms_step,
                       row.ms_wait,
                       100 * row.overlap,
                       megabytes(row.bytes_sent),
                       megabytes(row.bytes_bound),
                       megabytes(row.gradient_bytes));
  }
  out << "\nalone: no exchange; ddp: plain training, one gradient summed; the others: "
         "docs/parallel.md."
         "\nMB sent are those of a step by all processes together; times are the slowest process's "
         "medians.\nAll processes share this machine: its loopback is no network, its cores are "
         "shared.\n";
}

void measure_here(const ParallelFlags& flags, const launch::Launch& launch, Context& context) {
  const auto result = measure::measure_parallel(flags.options, launch);
  if (launch.rank == 0 && flags.json) {
    measure::ParallelBenchmarkOptions given = flags.options;
    Json json = fields_to_json([&](FieldVisitor& v) { given.describe(v); });
    json["world"] = result.world;
    json["parameters"] = result.parameters;
    json["own_parameters"] = result.own_parameters;
    json["rows"] = Json::array();
    for (const auto& row : result.rows) json["rows"].push_back(row.to_json());
    json.update(bench_machine());
    context.out << json_text(json) << "\n";
  } else if (launch.rank == 0) {
    show(context.out, flags, result);
  }
}

void run_parallel(const ParallelFlags& flags, Context& context) {
  const launch::Launch launch = launch::read_launch();
  if (launch.size > 1 || flags.world == 1) {
    measure_here(flags, launch, context);
    return;
  }
  launch::LocalWorkers workers;
  workers.count = flags.world;
  workers.command = [&](int) {
    std::vector<std::string> command{own_program().string()};
    command.insert(command.end(), context.arguments.begin(), context.arguments.end());
    return command;
  };
  context.exit_code = launch::run_local_workers(workers, context.err);
}

}  // namespace

void add_bench_parallel(CLI::App& bench, Context& context) {
  auto flags = std::make_shared<ParallelFlags>();
  measure::ParallelBenchmarkOptions& options = flags->options;
  CLI::App* command = bench.add_subcommand(
      "parallel", "The time, traffic and memory of a step of several processes");
  command->add_option("--world", flags->world, "Processes, all on this machine")
      ->check(CLI::Range(1, launch::kMostLocalWorkers))
      ->capture_default_str();
  command->add_option("--tasks", options.tasks, "Number of tasks")->capture_default_str();
  command->add_option("--mode", options.mode, "alone, ddp, features, naive, sharded; all: in turn")
      ->capture_default_str();
  command->add_option("--model", options.model, "mlp, cnn, transformer or siamese")
      ->capture_default_str();
  command
      ->add_option("--input",
                   options.input,
                   "multi: each task has its own examples; single: one batch for all tasks")
      ->capture_default_str();
  command->add_option("--batch", options.batch, "Examples of each process (multi: and task)")
      ->capture_default_str();
  command->add_option("--method", options.method, "The method; 'detente methods' lists them")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "Threads of each process")
      ->capture_default_str();
  command->add_option("--steps", options.steps, "Timed steps of each mode")->capture_default_str();
  command->add_option("--seed", options.seed, "Of parameters and data")->capture_default_str();
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->footer(
      "Example:\n  detente bench parallel --world 2 --tasks 8\n"
      "Under torchrun, mpirun or srun the processes are theirs, and --world is not asked.");
  command->callback([flags, &context] { run_parallel(*flags, context); });
}

}  // namespace detente::cli
