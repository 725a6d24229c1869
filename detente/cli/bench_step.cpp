// SPDX-License-Identifier: Apache-2.0
// detente bench step: a training step under a method beside plain training.
#include <detente/cli/bench.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/measure/step_benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct StepFlags {
  measure::StepBenchmarkOptions options;
  bool json = false;
};

void show(std::ostream& out,
          const measure::StepBenchmarkOptions& options,
          const measure::StepBenchmarkResult& result) {
  const auto line = [&](const std::string& name, const std::string& value) {
    out << fmt::format("{:<18}{}\n", name, value);
  };
  line("model",
       fmt::format("{}, {} input, {} tasks, {} examples{}, {} shared parameters, {}, {} thread(s)",
                   options.model,
                   options.input,
                   options.tasks,
                   options.batch,
                   options.input == "multi" ? " each" : "",
                   result.parameters,
                   options.device,
                   options.threads));
  line("method", fmt::format("{}, strategy {}", options.method, result.strategy));
  if (!result.notice.empty()) line("note", result.notice);
  line("plain step", fmt::format("{:.2f} ms (fastest {:.2f})", result.ms_plain, result.plain_min));
  if (std::isfinite(result.ms_floor)) {
    line("K passes, Adam", fmt::format("{:.2f} ms", result.ms_floor));
  }
  line("this step",
       fmt::format("{:.2f} ms (fastest {:.2f}): forward {:.2f}, gradients {:.2f}, method {:.3f}",
                   result.ms_method,
                   result.method_min,
                   result.ms_forward,
                   result.ms_backward,
                   result.ms_solve));
  line("ratio to plain", fmt::format("{:.3f}", result.ratio));
  if (std::isfinite(result.ratio_floor)) {
    line("ratio to K passes", fmt::format("{:.3f}", result.ratio_floor));
  }
  if (std::isfinite(result.estimate_cosine)) {
    line("estimate",
         fmt::format("mean cosine with the exact direction {:.5f}", result.estimate_cosine));
  }
  line("memory at peak",
       fmt::format("{:.1f} MB, plain {:.1f} MB (above the step's start)",
                   static_cast<double>(result.peak_bytes) / 1e6,
                   static_cast<double>(result.plain_peak_bytes) / 1e6));
  line("processor", bench_machine_text());
  line("load average",
       fmt::format("{:.2f} before, {:.2f} after; other programs lengthen the times",
                   result.load_before,
                   result.load_after));
}

}  // namespace

void add_bench_step(CLI::App& bench, Context& context) {
  auto flags = std::make_shared<StepFlags>();
  measure::StepBenchmarkOptions& options = flags->options;
  CLI::App* command = bench.add_subcommand(
      "step", "The time of a training step under a method, beside plain training");
  command
      ->add_option("--model",
                   options.model,
                   "mlp, cnn, transformer, siamese or segnet_mtan; sac_mt10 or sac_mt50: an update "
                   "of a multi-task soft actor-critic")
      ->capture_default_str();
  CLI::Option* input =
      command->add_option("--input",
                          options.input,
                          "multi: each task has its own examples; single: one batch for all tasks");
  CLI::Option* tasks = command->add_option("--tasks", options.tasks, "Number of tasks");
  CLI::Option* batch =
      command->add_option("--batch", options.batch, "Examples per task, or of the one batch");
  for (CLI::Option* option : {input, tasks, batch}) option->capture_default_str();
  command
      ->add_option(
          "--scale", options.scale, "segnet_mtan: the sides of the images as a share of 288 x 384")
      ->type_name("SHARE");
  command->footer(
      "segnet_mtan is the network of the published NYUv2 tables; unless told otherwise it has\n"
      "--input single, --tasks 3 (classes, depth, normals) and --batch 2, as published. sac_mt10 "
      "and\n"
      "sac_mt50 are Meta-World's: 1280 transitions in all, 128 or 26 of each task.");
  command->add_option("--method", options.method, "The method; 'detente methods' lists them")
      ->capture_default_str();
  command
      ->add_option("--strategy",
                   options.strategy,
                   "auto, weighted, sequential, segmented, ghost or features")
      ->capture_default_str();
  command
      ->add_option("--gram-rows",
                   options.gram_rows,
                   "Estimate the Gram matrix from this share of the examples")
      ->type_name("SHARE");
  command
      ->add_option("--gram-precision",
                   options.gram_precision,
                   "bf16: estimate the Gram matrix from passes in mixed precision; same: no")
      ->capture_default_str();
  command
      ->add_option("--gram-sketch",
                   options.gram_sketch,
                   "Estimate the Gram matrix by a random projection to so many columns")
      ->type_name("N");
  command
      ->add_option("--passes",
                   options.passes,
                   "auto, in_turn, or side_by_side: several at once, one thread each")
      ->capture_default_str();
  command->add_option("--memory", options.memory, "low: never a gradient per task at once; fast")
      ->capture_default_str();
  command
      ->add_option("--optimizer",
                   options.optimizer,
                   "adam: LibTorch's; adamw: the one that recipes train with")
      ->capture_default_str();
  command->add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str();
  command->add_option("--threads", options.threads, "Threads of LibTorch")->capture_default_str();
  command->add_option("--steps", options.steps, "Timed steps of each kind")->capture_default_str();
  command->add_option("--seed", options.seed, "Of parameters and data")->capture_default_str();
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->callback([flags, input, tasks, batch, &context] {
    const measure::StepBenchmarkOptions published = measure::published_sizes(flags->options.model);
    if (input->count() == 0) flags->options.input = published.input;
    if (tasks->count() == 0) flags->options.tasks = published.tasks;
    if (batch->count() == 0) flags->options.batch = published.batch;
    const bool terminal = isatty(STDERR_FILENO) == 1 && !flags->json;
    const auto result =
        measure::measure_step(flags->options, [&](std::int64_t done, std::int64_t all) {
          if (terminal) context.err << fmt::format("\r{}/{} rounds", done, all) << std::flush;
        });
    if (terminal) context.err << "\r" << std::string(24, ' ') << "\r";
    if (!flags->json) {
      show(context.out, flags->options, result);
      return;
    }
    measure::StepBenchmarkOptions given = flags->options;
    Json json = fields_to_json([&](FieldVisitor& v) { given.describe(v); });
    json.update(result.to_json());
    json.update(bench_machine());
    context.out << json_text(json) << "\n";
  });
}

}  // namespace detente::cli
