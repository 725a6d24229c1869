// SPDX-License-Identifier: Apache-2.0
// detente compare RUN RUN ...
#include <detente/cli/command.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/html_comparison.h>
#include <detente/text/printable.h>
#include <detente/train/loaded_run.h>
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
  std::string title = "Comparison";
  bool baseline = false;
  bool json = false;
};

void run_compare(const CompareFlags& flags, Context& context) {
  std::vector<report::Baseline> baselines;
  if (flags.baseline) {
    const train::LoadedRun run = train::load_run(flags.runs.front(), {});
    baselines = train::untrained_baselines(run);
  }
  const std::filesystem::path page = flags.out.empty()
                                         ? flags.runs.front() / ".." / "comparison.html"
                                         : std::filesystem::path(flags.out);
  const report::Comparison comparison =
      report::write_comparison_html(page, flags.title, flags.runs, baselines);
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
  CLI::App* command = app.add_subcommand("compare", "Put runs side by side: a table and a page");
  auto flags = std::make_shared<CompareFlags>();
  command->add_option("RUN", flags->runs, "Folders of the runs")->required();
  command->add_option(
      "--out", flags->out, "The page to write; default: comparison.html beside the first run");
  command->add_option("--title", flags->title, "Headline of the page");
  command->add_flag(
      "--baseline",
      flags->baseline,
      "Add what is reached without training: likeness of the sentences, or a constant");
  command->add_flag("--json", flags->json, "Print the table as JSON");
  command->callback([flags, &context] { run_compare(*flags, context); });
}

}  // namespace detente::cli
