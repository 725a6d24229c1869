// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/compare_methods.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/json.h>
#include <detente/core/json_text.h>
#include <detente/core/terminal.h>
#include <detente/metrics/registry.h>
#include <detente/report/html_page.h>
#include <detente/study/halving.h>
#include <detente/study/live_table.h>
#include <detente/study/slurm.h>
#include <detente/study/study_page.h>
#include <detente/study/sweep.h>
#include <detente/study/tables.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
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

// A folder of something else is left alone. What a study makes first is there before study.json is.
void check_folder(const fs::path& out) {
  if (!fs::exists(out) || fs::is_regular_file(out / "study.json")) return;
  DETENTE_CHECK(
      fs::is_directory(out),
      ErrorCode::kIo,
      "[cli::compare] '{}' is no folder; expected one for the runs and the page, or a new name.",
      out.string());
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    DETENTE_CHECK(
        name == "runs" || name == "recipe.yaml" || is_temporary_name(name),
        ErrorCode::kInvalidArgument,
        "[cli::compare] '{}' holds other things ('{}') and no study; expected a new or empty "
        "folder, or one that `detente compare --methods` has made.",
        out.string(),
        name);
  }
}

// The study's own copy of the recipe: what is changed in the file meanwhile does not mix two studies.
fs::path keep_recipe(const train::Recipe& recipe, const fs::path& out) {
  const fs::path kept = out / "recipe.yaml";
  const std::string text = recipe.to_yaml();
  if (!fs::exists(kept)) {
    write_file_atomic(kept, text);
    return kept;
  }
  const auto differences = train::recipe_differences(read_file(kept), text);
  std::string list;
  for (const auto& line : differences) list += "\n  " + line;
  DETENTE_CHECK(
      differences.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::compare] the study in '{}' was begun with another recipe:{}\nUse another --out for "
      "this one, or the recipe as it was to go on.",
      out.string(),
      list);
  return kept;
}

std::string command_of(const CompareMethodsFlags& flags) {
  std::string command = "detente compare " + text::shell_word(flags.recipe) + " --methods " +
                        text::shell_word(flags.methods) + fmt::format(" --seeds {}", flags.seeds);
  for (const auto& axis : flags.grid) command += " --grid " + text::shell_word(axis);
  for (const auto& change : flags.overrides) {
    command += " --set " + text::shell_word(change);
  }
  if (!flags.title.empty()) command += " --title " + text::shell_word(flags.title);
  if (flags.no_single) command += " --no-stl";
  if (flags.halving) command += " --halving";
  return command + " --out " + text::shell_word(flags.out);
}

// What was asked for, so that the page can be made again.
Json asked_of(const CompareMethodsFlags& flags) {
  return {{"format", "detente-study-1"},
          {"recipe", flags.recipe},
          {"methods", flags.methods},
          {"title", flags.title},
          {"grid", flags.grid},
          {"set", flags.overrides},
          {"seeds", flags.seeds},
          {"no_stl", flags.no_single},
          {"halving", flags.halving}};
}

CompareMethodsFlags flags_of(const fs::path& out) {
  const fs::path file = out / "study.json";
  const Json json = Json::parse(read_file(file), nullptr, false);
  CompareMethodsFlags flags;
  DETENTE_CHECK(json.is_object(),
                ErrorCode::kData,
                "[cli::report] '{}' is damaged: no JSON object. The command that made the study "
                "(detente compare ... --out {}) writes it again and repeats nothing.",
                file.string(),
                out.string());
  try {
    json.at("recipe").get_to(flags.recipe);
    json.at("methods").get_to(flags.methods);
    json.at("title").get_to(flags.title);
    json.at("grid").get_to(flags.grid);
    json.at("set").get_to(flags.overrides);
    json.at("seeds").get_to(flags.seeds);
    json.at("no_stl").get_to(flags.no_single);
    flags.halving = json.value("halving", false);
  } catch (const Json::exception& error) {
    fail(ErrorCode::kData,
         "[cli::report] '{}' is no description of a study: {}. `detente compare` with --out {} "
         "writes it "
         "again.",
         file.string(),
         error.what(),
         out.string());
  }
  flags.out = out.string();
  return flags;
}

struct Study {
  train::Recipe recipe;
  study::SweepOptions options;
  std::vector<study::StudyTask> tasks;
  std::vector<Variant> variants;
};

std::vector<std::size_t> chosen_of(const CompareMethodsFlags& flags,
                                   const Study& study,
                                   std::span<const study::RunResult> results) {
  if (!flags.halving) return study::chosen_variants(study.variants, study.tasks, results);
  return study::halve(study.variants, study.tasks, study.options.seeds, results).chosen;
}

// Writes tables and page from the results there are, and says what is in them.
void tell_results(const CompareMethodsFlags& flags,
                  const Study& study,
                  std::span<const study::RunResult> results,
                  Context& context) {
  const auto chosen = chosen_of(flags, study, results);
  const study::Analysis analysis =
      study::analyse(study.variants, chosen, study.tasks, study.options.seeds, results);
  const fs::path& out = study.options.out;
  const std::string title = flags.title.empty() ? study.recipe.name : flags.title;
  write_file_atomic(out / "comparison.json", json_text(analysis.to_json()) + "\n");
  write_file_atomic(out / "comparison.csv", study::result_csv(analysis));
  write_file_atomic(
      out / "comparison.md",
      study::result_table(analysis).markdown() + "\n" + study::method_table(analysis).markdown());
  write_file_atomic(out / "comparison.tex", study::latex_table(analysis));
  write_file_atomic(out / "comparison.html",
                    study::study_page({title, command_of(flags), read_file(study.options.recipe)},
                                      analysis,
                                      study.variants,
                                      chosen,
                                      study.tasks,
                                      study.options));
  for (const std::string& note : analysis.notes) tell(context, "warning", note);
  if (flags.json) {
    context.out << json_text(analysis.to_json()) << "\n";
    return;
  }
  context.out << study::result_table(analysis).text() << "\n"
              << study::method_table(analysis).text() << "\n";
  for (const auto& sentence : analysis.sentences) context.out << text::printable(sentence) << "\n";
  context.out
      << "\nMeasured on "
      << (analysis.measured == study::Measured::kTest ? "test rows"
          : study.recipe.data.files.has_rows(data::Part::kTest)
              ? "the validation rows so far; the test rows are measured when all has been trained"
              : "the validation rows, which also chose the epochs (data.split.test sets test "
                "rows aside)")
      << ". Page: " << text::printable((out / "comparison.html").string()) << "\n";
}

// Whether all of it has been trained. Says what was submitted, runs or waits.
bool submit_study(const CompareMethodsFlags& flags, const Study& study, Context& context) {
  const study::SlurmStatus status = study::train_on_slurm(
      study.variants, study.options, {flags.sbatch, flags.jobs, study.recipe.threads == 0});
  context.err << text::printable(status.text) << "\n" << std::flush;
  return status.complete;
}

std::vector<std::int64_t> seeds_of(const CompareMethodsFlags& flags) {
  std::vector<std::int64_t> seeds;
  for (int seed = 0; seed < flags.seeds; ++seed) seeds.push_back(seed);
  return seeds;
}

}  // namespace

bool is_study(const fs::path& folder) { return fs::is_regular_file(folder / "study.json"); }

void report_study(const fs::path& folder, bool json, Context& context) {
  CompareMethodsFlags flags = flags_of(folder);
  flags.json = json;
  Study study;
  study.options.out = fs::absolute(folder);
  study.options.recipe = study.options.out / "recipe.yaml";
  study.options.seeds = seeds_of(flags);
  study.recipe = train::load_recipe(study.options.recipe, {});
  study.tasks = tasks_of(study.recipe);
  study.variants = plan_of(flags, study.options.recipe, {}, study.tasks);
  tell_results(flags, study, study::read_results(study.variants, study.options), context);
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
  study.tasks = tasks_of(study.recipe);
  study::SweepOptions& options = study.options;
  options.program = fs::read_symlink("/proc/self/exe");
  options.out = fs::absolute(flags.out);
  options.seeds = seeds_of(flags);
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  options.jobs = flags.jobs > 0 ? flags.jobs : cores;
  // Runs beside each other share the cores.
  const bool submits = !flags.submit.empty();
  if (study.recipe.threads == 0 && !submits) {
    options.overrides.push_back(fmt::format("threads={}", std::max(1, cores / options.jobs)));
  }
  study.variants = plan_of(flags, flags.recipe, flags.overrides, study.tasks);

  check_folder(options.out);
  fs::create_directories(options.out / "runs");
  // In a hidden folder of its own: the lock's mark makes a folder look like a run's.
  const fs::path own = options.out / "runs" / ".study";
  fs::create_directories(own);
  const train::RunLock lock = train::RunLock::take(own);
  if (!lock.warning().empty()) tell(context, "warning", lock.warning());
  remove_temporary_files(options.out);
  options.recipe = keep_recipe(study.recipe, options.out);
  write_file_atomic(options.out / "study.json", json_text(asked_of(flags)) + "\n");

  const InterruptGuard guard;
  study::SweepHooks hooks = sweep_hooks(guard);
  study::LiveTable table(context.err);
  const bool live = !flags.quiet && &context.err == &std::cerr && error_is_terminal();
  hooks.on_change = [&](const study::SweepProgress& progress) {
    if (flags.quiet) return;
    if (live) {
      const auto done = study::read_results(study.variants, options);
      const bool failed = progress.text.find("failed (exit code") != std::string::npos;
      if (failed) table.say(text::printable(progress.text));
      table.draw(study::live_lines(study.variants, study.tasks, done, progress, terminal_size()));
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
                               study.variants.size(),
                               options.seeds.size(),
                               options.jobs,
                               text::printable(options.out.string()))
                << std::flush;
  }
  bool complete = true;
  std::vector<study::RunResult> results;
  if (submits) {
    complete = submit_study(flags, study, context);
    results = study::read_results(study.variants, options);
    if (results.empty()) return;  // nothing to show yet
  } else {
    results = flags.halving ? study::train_by_halving(study.variants, study.tasks, options, hooks)
                            : study::train_all(study.variants, options, hooks);
  }
  if (complete && study.recipe.data.files.has_rows(data::Part::kTest) && !guard.interrupted()) {
    const auto chosen = chosen_of(flags, study, results);
    results = study::test_chosen(study.variants, chosen, options, hooks);
  }
  table.clear();
  tell_results(flags, study, results, context);
  if (guard.interrupted()) {
    context.err << "Interrupted; what has finished is kept. Go on with: "
                << text::printable(command_of(flags)) << "\n";
    context.exit_code = 130;
  }
}

}  // namespace detente::cli
