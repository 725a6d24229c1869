// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/compare_methods.h>
#include <detente/cli/study_folder.h>
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/core/terminal.h>
#include <detente/metrics/registry.h>
#include <detente/report/html_page.h>
#include <detente/study/live_table.h>
#include <detente/study/slurm.h>
#include <detente/study/sweep.h>
#include <detente/study/tables.h>
#include <detente/study/written_study.h>
#include <detente/text/printable.h>
#include <detente/train/probe.h>
#include <detente/train/recipe.h>
#include <detente/train/run_lock.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <ostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;
using study::Variant;

std::vector<std::string> joined(std::vector<std::string> first,
                                const std::vector<std::string>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

std::vector<study::StudyTask> tasks_of(const train::Recipe& recipe) {
  std::vector<study::StudyTask> tasks;
  for (const auto& task : recipe.tasks) {
    study::StudyTask one{task.name, {}};
    for (const auto& metric : task.metrics) {
      one.metrics.push_back({metric, metrics::get_metric(metric, task.head.kind).higher_is_better});
    }
    tasks.push_back(std::move(one));
  }
  return tasks;
}

// What features are judged by is compared as what tasks reach.
std::vector<study::StudyTask> compared_of(const train::Recipe& recipe) {
  std::vector<study::StudyTask> tasks = tasks_of(recipe);
  for (const auto& probe : recipe.probes) {
    study::StudyTask one{probe.name, {}};
    for (const char* metric : train::kProbeMetrics) one.metrics.push_back({metric, true});
    tasks.push_back(std::move(one));
  }
  return tasks;
}

// Every setting of the recipe in `file`, with `base` before each, is read once before anything is
// trained: what cannot be is said now.
std::vector<Variant> plan_of(const CompareMethodsFlags& flags,
                             const fs::path& file,
                             const std::vector<std::string>& base,
                             const std::vector<study::StudyTask>& tasks) {
  const auto methods = study::parse_methods(flags.methods);
  const auto grid = study::parse_grid(flags.grid);
  // What makes another study of it: rows that are not the same, pairs that are none.
  for (const auto& axis : grid) {
    const bool is_method = axis.key == "balance.method";
    DETENTE_CHECK(
        !is_method && axis.key != "seed" && axis.key != "train.tasks" &&
            !axis.key.starts_with("data.") && !axis.key.starts_with("tasks"),
        ErrorCode::kInvalidArgument,
        "[cli::compare] --grid {}: settings are compared on the same rows, tasks and seeds; "
        "{}.",
        axis.key,
        is_method ? "methods are named by --methods" : "make a study of each value");
  }
  std::vector<study::Baseline> baselines;
  if (!flags.no_single && tasks.size() > 1) {
    for (const auto& task : tasks) baselines.push_back({task.name, task.metrics.front().name});
  }
  for (const auto& spec : methods) {
    std::vector<std::string> overrides{"balance.method=" + spec.method};
    for (const auto& [name, value] : spec.options)
      overrides.push_back("balance." + name + "=" + value);
    train::load_recipe(file, joined(base, overrides));
  }
  std::vector<bool> used(grid.size(), false);
  const auto applies = [&](const study::MethodSpec* method, const study::GridAxis& axis) {
    bool has = true;
    if (axis.key.starts_with("balance.")) {
      if (method == nullptr) return false;
      // An option that the method does not have is no error: another one may.
      try {
        std::vector<std::string> overrides{"balance.method=" + method->method};
        overrides.push_back(axis.key + "=" + axis.values.front());
        train::load_recipe(file, joined(base, overrides));
      } catch (const Error& error) {
        has = std::string_view(error.what()).find("unknown key") == std::string_view::npos;
      }
    }
    if (has && method != nullptr) used[static_cast<std::size_t>(&axis - grid.data())] = true;
    return has;
  };
  auto variants = study::plan_variants(methods, grid, baselines, applies);
  for (std::size_t i = 0; i < grid.size(); ++i) {
    DETENTE_CHECK(used[i],
                  ErrorCode::kInvalidArgument,
                  "[cli::compare] --grid {}: none of the methods has this option.",
                  grid[i].key);
  }
  for (const Variant& variant : variants) train::load_recipe(file, joined(base, variant.overrides));
  return variants;
}

struct Study {
  train::Recipe recipe;
  study::SweepOptions options;
  study::WrittenStudy written;
};

// What is trained for these flags, of the recipe in `file` with `base` before each setting.
study::WrittenStudy written_of(const CompareMethodsFlags& flags,
                               const train::Recipe& recipe,
                               const fs::path& file,
                               const std::vector<std::string>& base) {
  study::WrittenStudy written;
  written.facts.title = flags.title.empty() ? recipe.name : flags.title;
  written.facts.command = command_of(flags);
  written.facts.test_rows = recipe.data.files.has_rows(data::Part::kTest);
  written.tasks = compared_of(recipe);
  DETENTE_CHECK(
      !written.tasks.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::compare] the recipe has no task with a metric; expected a supervised task, or "
      "one of the kind probe that judges the features (docs/distill.md).");
  written.variants = plan_of(flags, file, base, tasks_of(recipe));
  written.seeds = study::parse_seeds(flags.seeds);
  written.halving = flags.halving;
  return written;
}

// Writes tables and page from the results there are, and says what is in them.
study::StudyFindings tell_results(const CompareMethodsFlags& flags,
                                  study::WrittenStudy written,
                                  std::span<const study::RunResult> results,
                                  Context& context) {
  study::StudyFindings findings = study::findings_of(written, results);
  const study::Analysis& analysis = findings.analysis;
  const fs::path out = fs::absolute(flags.out);
  if (fs::exists(out / "recipe.yaml")) written.facts.recipe = read_file(out / "recipe.yaml");
  write_file_atomic(out / "comparison.json", json_text(analysis.to_json()) + "\n");
  write_file_atomic(out / "comparison.csv", study::result_csv(analysis));
  write_file_atomic(
      out / "comparison.md",
      study::result_table(analysis).markdown() + "\n" + study::method_table(analysis).markdown());
  write_file_atomic(out / "comparison.tex", study::latex_table(analysis));
  write_file_atomic(out / "comparison.html",
                    study::study_page(written, findings, study::runs_in(out)));
  for (const std::string& note : analysis.notes) tell(context, "warning", note);
  if (flags.json) {
    context.out << json_text(analysis.to_json()) << "\n";
    return findings;
  }
  context.out << study::result_table(analysis).text() << "\n"
              << study::method_table(analysis).text() << "\n";
  for (const auto& sentence : analysis.sentences) context.out << text::printable(sentence) << "\n";
  context.out
      << "\nMeasured on "
      << (analysis.measured == study::Measured::kTest ? "test rows"
          : written.facts.test_rows
              ? "the validation rows so far; the test rows are measured when all has been trained"
              : "the validation rows, which also chose the epochs (data.split.test sets test "
                "rows aside)")
      << ". Page: " << text::printable((out / "comparison.html").string()) << "\n";
  return findings;
}

// Runs that failed, and of the chosen ones those whose test rows could not be measured.
std::size_t lost_runs(const study::StudyFindings& findings,
                      bool tested,
                      std::span<const study::RunResult> results) {
  std::size_t lost = findings.failed;
  for (const study::RunResult& result : results) {
    const bool is_chosen =
        std::find(findings.chosen.begin(), findings.chosen.end(), result.variant) !=
        findings.chosen.end();
    if (tested && is_chosen && result.failure.empty() && result.test.empty()) ++lost;
  }
  return lost;
}

// Whether all of it has been trained. Says what was submitted, runs or waits.
bool submit_study(const CompareMethodsFlags& flags, const Study& study, Context& context) {
  const study::SlurmStatus status = study::train_on_slurm(
      study.written.variants, study.options, {flags.sbatch, flags.jobs, study.recipe.threads == 0});
  context.err << text::printable(status.text) << "\n" << std::flush;
  return status.complete;
}

}  // namespace

bool is_study(const fs::path& folder) { return fs::is_regular_file(folder / "study.json"); }

void report_study(const fs::path& folder, bool json, Context& context) {
  StudyFile file = read_study(folder);
  file.flags.json = json;
  if (file.written) file.written->facts.command = command_of(file.flags);
  if (!file.written) {
    const fs::path recipe = folder / "recipe.yaml";
    file.written = written_of(file.flags, train::load_kept_recipe(recipe), recipe, {});
    write_study(file.flags, *file.written, folder);
  }
  study::SweepOptions options;
  options.out = fs::absolute(folder);
  options.seeds = file.written->seeds;
  const auto results = study::read_results(file.written->variants, options);
  tell_results(file.flags, *file.written, results, context);
}

study::SweepHooks sweep_hooks(const InterruptGuard& guard) {
  study::SweepHooks hooks;
  hooks.stop = [&guard] { return guard.interrupted(); };
  hooks.wait_until_free = [&guard](const fs::path& run) {
    for (int tenths = 0; tenths < 600 && !guard.interrupted(); ++tenths) {
      try {
        train::RunLock::take(run);
        return;
      } catch (const Error&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    }
  };
  return hooks;
}

void compare_methods(const CompareMethodsFlags& flags, Context& context) {
  DETENTE_CHECK(
      flags.submit.empty() || !flags.halving,
      ErrorCode::kInvalidArgument,
      "[cli::compare] --halving decides after each round what is trained next, which one array job "
      "cannot; leave out --halving or --submit.");
  DETENTE_CHECK(!flags.out.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::compare] --methods needs --out: the folder for the runs and the page.");
  Study study;
  study.recipe = train::load_recipe(flags.recipe, flags.overrides);
  for (const std::string& note : study.recipe.notes) tell(context, "notice", note);
  study.written = written_of(flags, study.recipe, flags.recipe, flags.overrides);
  const std::vector<Variant>& variants = study.written.variants;
  const std::vector<study::StudyTask>& tasks = study.written.tasks;
  study::SweepOptions& options = study.options;
  options.program = own_program();
  options.out = fs::absolute(flags.out);
  options.seeds = study.written.seeds;
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  options.jobs = flags.jobs > 0 ? flags.jobs : cores;
  // Runs beside each other share the cores.
  const bool submits = !flags.submit.empty();
  if (study.recipe.threads == 0 && !submits) {
    options.overrides.push_back(fmt::format("threads={}", std::max(1, cores / options.jobs)));
  }

  check_study_folder(options.out);
  fs::create_directories(options.out / "runs");
  // In a hidden folder of its own: the lock's mark makes a folder look like a run's.
  const fs::path own = options.out / "runs" / ".study";
  fs::create_directories(own);
  const train::RunLock lock = train::RunLock::take(own);
  if (!lock.warning().empty()) tell(context, "warning", lock.warning());
  remove_temporary_files(options.out);
  options.recipe = keep_recipe(study.recipe, options.out);
  write_study(flags, study.written, options.out);

  const InterruptGuard guard;
  study::SweepHooks hooks = sweep_hooks(guard);
  study::LiveTable table(context.err);
  const bool live = !flags.quiet && &context.err == &std::cerr && error_is_terminal();
  hooks.on_change = [&](const study::SweepProgress& progress) {
    if (flags.quiet) return;
    if (live) {
      const auto done = study::read_results(variants, options);
      if (progress.failed) table.say(text::printable(progress.text));
      table.draw(study::live_lines(variants, tasks, done, progress, terminal_size()));
      return;
    }
    if (progress.text.empty()) return;
    std::string line =
        fmt::format("[{}/{}] {}", progress.ended, progress.total, text::printable(progress.text));
    if (progress.ended < progress.total && std::isfinite(progress.seconds_left)) {
      line += fmt::format("; {} running, about {} left",
                          progress.running.size(),
                          report::duration_text(progress.seconds_left));
    }
    context.err << line << "\n" << std::flush;
  };
  if (!submits) study::check_no_job(options.out);
  if (!flags.quiet && !submits) {
    context.err << fmt::format("{} settings x {} seeds, {} at once, in {}\n",
                               variants.size(),
                               options.seeds.size(),
                               options.jobs,
                               text::printable(options.out.string()))
                << std::flush;
  }
  bool complete = true;
  std::vector<study::RunResult> results;
  if (submits) {
    complete = submit_study(flags, study, context);
    results = study::read_results(variants, options);
    if (results.empty()) return;  // nothing to show yet
  } else {
    results = flags.halving ? study::train_by_halving(variants, tasks, options, hooks)
                            : study::train_all(variants, options, hooks);
  }
  const bool tested = complete && study.written.facts.test_rows && !guard.interrupted();
  if (tested) {
    const auto chosen = study::findings_of(study.written, results).chosen;
    results = study::test_chosen(variants, chosen, options, hooks);
  }
  table.clear();
  const auto findings = tell_results(flags, study.written, results, context);
  if (guard.interrupted()) {
    context.err << "Interrupted; what has finished is kept. Go on with: "
                << text::printable(command_of(flags)) << "\n";
    context.exit_code = 130;
  } else if (const std::size_t lost = lost_runs(findings, tested, results); complete && lost > 0) {
    tell(context,
         "error",
         fmt::format("[cli::compare] {} of {} runs failed; tables and page are of the others. The "
                     "warnings above say how each ended, and the files runs/METHOD/seed-N.log in "
                     "'{}' what it said. The same command tries these again.",
                     lost,
                     findings.runs,
                     options.out.string()));
    context.exit_code = kRunsFailed;
  }
}

}  // namespace detente::cli
