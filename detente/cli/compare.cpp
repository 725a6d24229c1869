// SPDX-License-Identifier: Apache-2.0
// detente compare RUN RUN ...; with --methods a study (compare_methods.h)
#include <detente/cli/command.h>
#include <detente/cli/compare_methods.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/html_comparison.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/loaded_run.h>
#include <detente/train/recipe.h>
#include <detente/train/untrained_baseline.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct CompareFlags {
  std::vector<std::filesystem::path> runs;
  std::string out;
  std::string title;
  bool baseline = false;
  bool json = false;
  CompareMethodsFlags study;
};

// A file where folders of runs are expected: what was meant needs another command or a flag.
void refuse_files(const std::vector<std::filesystem::path>& runs) {
  for (const std::filesystem::path& file : runs) {
    std::error_code none;
    if (std::filesystem::is_directory(file, none)) continue;
    train::refuse_table(file);
    const std::string ending = lower_ascii(file.extension().string());
    const bool recipe = ending == ".yaml" || ending == ".yml";
    if (!recipe && !std::filesystem::exists(file, none)) continue;  // said where it is read
    DETENTE_CHECK(
        !recipe || !std::filesystem::exists(file, none),
        ErrorCode::kInvalidArgument,
        "[cli::compare] '{0}' is a recipe; the methods that are to be trained with it are "
        "named by --methods:\n  detente compare {1} --methods ew,uw,pcgrad,cagrad --seeds 3 "
        "--out study\nWithout --methods folders of runs are put side by side: detente "
        "compare runs/a runs/b",
        file.string(),
        text::shell_word(file.string()));
    fail(recipe ? ErrorCode::kIo : ErrorCode::kInvalidArgument,
         "[cli::compare] {}; expected folders of runs (detente compare runs/a runs/b), or a recipe "
         "and --methods (detente compare recipe.yaml --methods ew,uw,pcgrad,cagrad --out study).",
         recipe ? "there is no file '" + file.string() + "'" : "'" + file.string() + "' is a file");
  }
}

void run_compare(const CompareFlags& flags, Context& context) {
  refuse_files(flags.runs);
  std::vector<report::Baseline> baselines;
  if (flags.baseline) {
    const train::LoadedRun run = train::load_run(flags.runs.front(), {});
    baselines = train::untrained_baselines(run);
  }
  const std::filesystem::path page = flags.out.empty()
                                         ? flags.runs.front() / ".." / "comparison.html"
                                         : std::filesystem::path(flags.out);
  const report::Comparison comparison = report::write_comparison_html(
      page, flags.title.empty() ? "Comparison" : flags.title, flags.runs, baselines);
  for (const auto& warning : comparison.warnings) tell(context, "warning", warning);
  if (flags.json) {
    context.out << json_text(comparison.table.json()) << "\n";
    return;
  }
  context.out << comparison.table.text();
  if (flags.baseline) {
    context.out << "\nNothing is trained for:";
    for (const auto& baseline : baselines) context.out << " " << text::printable(baseline.label);
    context.out << ".\nThresholds, means and most frequent classes come from the training rows; "
                   "overlap is that of character\npairs, tf-idf the cosine of the tokens' tf-idf "
                   "vectors, constant the mean or most frequent class.\n";
  }
  context.out << "\nPage: " << text::printable(page.lexically_normal().string()) << "\n";
}

}  // namespace

void add_compare(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "compare", "Which method to use: train several with several seeds, or put runs side by side");
  auto flags = std::make_shared<CompareFlags>();
  command->add_option("RUN", flags->runs, "A recipe, with --methods; or folders of runs")
      ->required();
  command->add_option(
      "--out",
      flags->out,
      "With --methods: the folder for runs, tables and page. Else the page to write; "
      "default: comparison.html beside the first run");
  command->add_option("--title", flags->title, "Headline of the page");
  auto* baseline = command->add_flag(
      "--baseline",
      flags->baseline,
      "Runs: add what is reached without training: likeness of the sentences, or a constant");
  command->add_flag("--json", flags->json, "Print the tables as JSON");
  auto* methods =
      command->add_option("--methods",
                          flags->study.methods,
                          "Methods with commas between them, e.g. ew,pcgrad,cagrad[c=0.2]");
  methods->excludes(baseline);
  command
      ->add_option("--seeds",
                   flags->study.seeds,
                   "So many seeds, from 0, or which ones, with commas between (4,7): each run has "
                   "initial weights and order of rows of its seed, whatever the method")
      ->needs(methods)
      ->capture_default_str();
  command
      ->add_option(
          "--jobs",
          flags->study.jobs,
          "Runs at once, each a process; 0: as many as there are cores, or with --submit as "
          "the cluster gives")
      ->needs(methods)
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      ->add_option(
          "--grid",
          flags->study.grid,
          "KEY=A,B,...: every method is tried with each of them and the best on validation is "
          "measured; keys that a method does not have are left out for it; may be given again")
      ->needs(methods);
  command
      ->add_flag("--halving",
                 flags->study.halving,
                 "Of a grid's settings the better half goes on after 1, 2, 4, ... seeds, by "
                 "validation; only the best has all seeds")
      ->needs("--grid");
  command->add_flag("--no-stl", flags->study.no_single, "No single-task baselines, and no delta m")
      ->needs(methods);
  auto* submit =
      command
          ->add_option("--submit",
                       flags->study.submit,
                       "slurm: train on a cluster, as one array job; the same command later "
                       "collects what has finished and submits what failed again")
          ->needs(methods)
          ->check(CLI::IsMember({"slurm"}));
  command
      ->add_option("--sbatch",
                   flags->study.sbatch,
                   "More options of sbatch, e.g. \"--partition=gpu --time=2:00:00\"")
      ->needs(submit);
  command->add_flag("--quiet", flags->study.quiet, "No progress")->needs(methods);
  add_set_flag(*command, flags->study.overrides);
  command->footer(
      "Example:\n  detente compare recipes/bike.yaml --methods ew,uw,pcgrad,cagrad --seeds 3 --out "
      "study\n"
      "Stopped (Ctrl-C, a crash), the same command goes on and repeats nothing that has finished.\n"
      "docs/compare.md says how differences are judged.");
  command->callback([flags, &context] {
    if (flags->study.methods.empty()) {
      DETENTE_CHECK(flags->study.overrides.empty(),
                    ErrorCode::kInvalidArgument,
                    "[cli::compare] --set is for a study: it needs --methods.");
      run_compare(*flags, context);
      return;
    }
    DETENTE_CHECK(flags->runs.size() == 1,
                  ErrorCode::kInvalidArgument,
                  "[cli::compare] --methods trains one recipe, and {} files are named.",
                  flags->runs.size());
    const std::filesystem::path& recipe = flags->runs.front();
    DETENTE_CHECK(
        !std::filesystem::is_directory(recipe),
        ErrorCode::kInvalidArgument,
        "[cli::compare] '{0}' is a folder, and --methods trains a recipe: detente compare "
        "recipe.yaml --methods {1} --out study. Folders of runs are compared without "
        "--methods; the page of a study again is made by `detente report {0}`.",
        recipe.string(),
        flags->study.methods);
    flags->study.recipe = recipe.string();
    flags->study.out = flags->out;
    flags->study.title = flags->title;
    flags->study.json = flags->json;
    compare_methods(flags->study, context);
  });
}

}  // namespace detente::cli
