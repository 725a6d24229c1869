// SPDX-License-Identifier: Apache-2.0
// detente study-task LIST INDEX: one run of a study, as an array job of SLURM starts it (study/slurm.h). Not for
// people, so --help does not show it.
#include <detente/cli/command.h>
#include <detente/cli/compare_methods.h>
#include <detente/core/child_process.h>
#include <detente/core/interrupt.h>
#include <detente/core/stopwatch.h>
#include <detente/study/slurm.h>
#include <detente/text/printable.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct StudyTaskFlags {
  std::string list;
  std::size_t index = 0;
};

void run_study_task(const StudyTaskFlags& flags, Context& context) {
  const InterruptGuard guard;
  study::SweepHooks hooks = sweep_hooks(guard);
  // SLURM signals every process of a job, the one that trains as well: it saves itself, and a second signal
  // would end it before it has. Where it got none, there is time left (KillWait is 30 s).
  Stopwatch since;
  bool asked = false;
  hooks.stop = [&] {
    if (!asked) since = Stopwatch();
    asked = asked || guard.interrupted();
    return asked && since.seconds() > 10;
  };
  hooks.on_change = [&](const study::SweepProgress& progress) {
    if (!progress.text.empty()) context.out << text::printable(progress.text) << "\n" << std::flush;
  };
  const auto results = study::train_listed(flags.list, flags.index, own_program(), hooks);
  if (results.empty()) {
    context.exit_code = 130;
  } else if (!results.front().failure.empty()) {
    context.exit_code = 1;  // so that sacct says so
  }
}

}  // namespace

void add_study_task(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("study-task", "One run of a study, for an array job");
  command->group("");
  auto flags = std::make_shared<StudyTaskFlags>();
  command->add_option("LIST", flags->list, "The list that was submitted")->required();
  command->add_option("INDEX", flags->index, "Which run of it, from 0")->required();
  command->callback([flags, &context] { run_study_task(*flags, context); });
}

}  // namespace detente::cli
