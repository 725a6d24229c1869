// SPDX-License-Identifier: Apache-2.0
// detente train RECIPE
#include <detente/cli/command.h>
#include <detente/cli/recipe_flags.h>
#include <detente/cli/result_table.h>
#include <detente/cli/train_control.h>
#include <detente/cli/train_workers.h>
#include <detente/control/recipe.h>
#include <detente/core/crash_point.h>
#include <detente/core/json_text.h>
#include <detente/core/terminal.h>
#include <detente/launch/launch.h>
#include <detente/launch/local_workers.h>
#include <detente/parallel/join.h>
#include <detente/tensor/device.h>
#include <detente/text/printable.h>
#include <detente/train/run_directory.h>
#include <detente/train/trainer.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct TrainFlags {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string out;
  bool resume = false;
  bool force = false;
  bool accept_changed = false;
  bool quiet = false;
  bool json = false;
  int nproc = 1;
  int max_restarts = 0;
};

train::Progress::Style progress_style(const Context& context, bool quiet) {
  if (quiet) return train::Progress::Style::kNone;
  const bool terminal = &context.err == &std::cerr && error_is_terminal();
  return terminal ? train::Progress::Style::kBar : train::Progress::Style::kLines;
}

// Each process of a machine takes a GPU of its own.
std::string device_of(const launch::Launch& launch, const std::string& asked) {
  const bool any_gpu = asked == "cuda" || (asked == "auto" && tensor::cuda_available());
  if (!any_gpu) return asked;
  return fmt::format("cuda:{}", launch.local_rank % tensor::cuda_devices());
}

// One that cannot be read here is everybody's error: the others would wait for this process.
train::Recipe load_for_all(const TrainFlags& flags, const launch::Launch& launch) {
  try {
    return train::load_recipe(flags.recipe, flags.overrides);
  } catch (const Error& error) {
    if (launch.size > 1) parallel::refuse_others(launch, error.what());
    throw;
  }
}

train::ExistingRun existing_of(const TrainFlags& flags) {
  if (flags.resume) return train::ExistingRun::kResume;
  return flags.force ? train::ExistingRun::kForce : train::ExistingRun::kRefuse;
}

train::TrainOptions options_of(const TrainFlags& flags, const train::Recipe& recipe) {
  train::TrainOptions options;
  options.out = flags.out.empty() ? recipe.output : flags.out;
  if (options.out.empty()) options.out = "runs/" + recipe.name;
  options.existing = existing_of(flags);
  return options;
}

// In as many processes, too: --nproc did not reach the process that says this, and what another launcher
// was told is not known here. The run's own recipe holds every --set of this command.
std::string how_to_go_on(const launch::Launch& launch, const train::RunDirectory& run) {
  const bool several = launch.size > 1;
  const bool own = launch.by == "detente";
  return fmt::format(
      "Interrupted; everything is saved. Go on{} with: detente train {} --out {}{} --resume\n",
      several && !own ? fmt::format(" in {} processes", launch.size) : "",
      text::printable(run.recipe().string()),
      text::printable(run.root.string()),
      several && own ? fmt::format(" --nproc {}", launch.size) : "");
}

void run_train(const TrainFlags& flags, Context& context) {
  if (control::is_control_recipe(flags.recipe)) {
    train_control({.recipe = flags.recipe,
                   .overrides = flags.overrides,
                   .out = flags.out,
                   .existing = existing_of(flags),
                   .progress = progress_style(context, flags.quiet),
                   .processes = flags.nproc,
                   .max_restarts = flags.max_restarts,
                   .accept_changed = flags.accept_changed,
                   .quiet = flags.quiet,
                   .json = flags.json},
                  context);
    return;
  }
  if (flags.nproc > 1 || flags.max_restarts > 0) {
    const train::Recipe recipe = train::load_recipe(flags.recipe, flags.overrides);
    const train::TrainOptions options = options_of(flags, recipe);
    train::check_run_directory(options.out, options.existing);  // one refusal instead of many
    context.exit_code = train_in_workers({.processes = flags.nproc,
                                          .max_restarts = flags.max_restarts,
                                          .threads = recipe.threads,
                                          .run = options.out},
                                         context);
    return;
  }
  const launch::Launch launch = launch::read_launch();
  set_crash_rank(launch.rank);
  const train::Recipe recipe = load_for_all(flags, launch);
  train::TrainOptions options = options_of(flags, recipe);
  if (launch.size > 1) {
    options.group = parallel::join(launch, {.timeout_s = recipe.parallel.timeout_s});
    options.device = device_of(launch, recipe.device);
  }
  // Started again by a launcher that knows nothing of runs, with the command of the first time.
  if (launch.attempt > 0 && launch.by != "detente" && train::RunDirectory{options.out}.is_run()) {
    options.existing = train::ExistingRun::kResume;
  }
  options.accept_changed = flags.accept_changed;
  options.progress = progress_style(context, flags.quiet);
  const train::TrainOutcome outcome = train::train(recipe, options, context.err);
  // Everything is saved. The first that leaves with 130 makes launchers send the others SIGTERM, which
  // must not make another exit code of theirs.
  if (options.group && outcome.interrupted) std::signal(SIGTERM, SIG_IGN);
  if (outcome.summary.is_null()) {
    if (outcome.interrupted) context.exit_code = 130;
    return;  // rank 0 speaks
  }
  if (flags.json) {
    context.out << json_text(outcome.summary) << "\n";
  } else if (!flags.quiet) {
    print_summary(outcome.summary, context.out);
    context.out << "\nReport: " << text::printable(outcome.run.report().string()) << "\n";
  }
  if (outcome.interrupted) {
    context.err << how_to_go_on(launch, outcome.run);
    context.exit_code = 130;
  }
}

}  // namespace

void add_train(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("train", "Train the tasks of a recipe");
  auto flags = std::make_shared<TrainFlags>();
  command->add_option("RECIPE", flags->recipe, "The recipe file (docs/recipe.md)")->required();
  add_set_flag(*command, flags->overrides);
  command->add_option(
      "--out", flags->out, "Folder of the run; default: output.dir of the recipe, else runs/NAME");
  auto* resume =
      command->add_flag("--resume", flags->resume, "Go on where the run in the folder stopped");
  command->add_flag("--force", flags->force, "Replace the run in the folder")->excludes(resume);
  add_accept_changed_flag(*command, flags->accept_changed)->needs(resume);
  command->add_flag("--quiet", flags->quiet, "No progress, no table; warnings only");
  command->add_flag("--json", flags->json, "Print the summary as JSON");
  auto* nproc = command->add_option(
      "--nproc", flags->nproc, "Train in this many processes of this machine (docs/parallel.md)");
  nproc->check(CLI::Range(1, launch::kMostLocalWorkers));
  command
      ->add_option(
          "--max-restarts",
          flags->max_restarts,
          "Start them all again, from the last snapshot, up to this often after one was killed")
      ->needs(nproc)
      ->check(CLI::Range(0, 1000000));
  command->footer(
      "Example:\n  detente train recipes/klue_sts.yaml --set balance.method=ew --out runs/ew\n"
      "Ctrl-C saves everything and exits with 130; --resume goes on as if nothing had happened.");
  command->callback([flags, &context] { run_train(*flags, context); });
}

}  // namespace detente::cli
