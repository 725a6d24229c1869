// SPDX-License-Identifier: Apache-2.0
// detente report DIR: the page of a run or of a study, made again.
#include <detente/cli/command.h>
#include <detente/cli/compare_methods.h>
#include <detente/cli/study_folder.h>
#include <detente/core/error.h>
#include <detente/report/html_report.h>
#include <detente/report/run_data.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct ReportFlags {
  std::string folder;
  bool json = false;
};

// Folders that hold runs and are none: a page of one run would say nothing, and be in a study's way.
void refuse_no_run(const std::filesystem::path& folder) {
  const std::string name = folder.string();
  DETENTE_CHECK(
      !is_bare_study(folder),
      ErrorCode::kData,
      "[cli::report] '{}' looks like the folder of a study (recipe.yaml and runs), but its "
      "study.json is missing, which says what was compared. The command that made the "
      "study (detente compare RECIPE --methods ... --out {}) writes it again and repeats "
      "nothing that has finished; a run's own page is made by `detente report "
      "{}/runs/METHOD/seed-N`.",
      name,
      text::shell_word(name),
      text::shell_word(name));
  std::error_code none;
  for (const char* file : {"summary.json", "metrics.jsonl", "recipe.yaml"}) {
    if (std::filesystem::exists(folder / file, none)) return;
  }
  std::vector<std::string> runs;
  for (std::filesystem::directory_iterator entry(folder, none), end; !none && entry != end;
       entry.increment(none)) {
    std::error_code unknown;
    if (std::filesystem::exists(entry->path() / "metrics.jsonl", unknown)) {
      runs.push_back(text::shell_word(entry->path().string()));
    }
  }
  std::sort(runs.begin(), runs.end());
  DETENTE_CHECK(
      runs.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::report] '{}' is no run but holds {}. The page of one: detente report {}; side by "
      "side: detente compare {}{}; all of them in the browser: detente serve {}.",
      name,
      runs.size() == 1 ? "one" : fmt::format("{} of them", runs.size()),
      runs.front(),
      runs.front(),
      runs.size() > 1 ? " " + runs[1] : "",
      text::shell_word(name));
}

void run_report(const ReportFlags& flags, Context& context) {
  const std::filesystem::path folder(flags.folder);
  if (is_study(folder)) {
    report_study(folder, flags.json, context);
    return;
  }
  DETENTE_CHECK(!flags.json,
                ErrorCode::kInvalidArgument,
                "[cli::report] --json is for a study; '{}' is none. A run's numbers are in its "
                "summary.json.",
                flags.folder);
  refuse_no_run(folder);
  report::write_html_report(folder);
  for (const auto& warning : report::read_run(folder).warnings()) tell(context, "warning", warning);
  context.out << "Report: " << text::printable((folder / "report.html").string()) << "\n";
}

}  // namespace

void add_report(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("report", "Make the page of a run or a study again");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("DIR", flags->folder, "Folder of a run, or of `detente compare --methods`")
      ->required();
  command->add_flag("--json", flags->json, "A study: print its tables as JSON");
  command->callback([flags, &context] { run_report(*flags, context); });
}

}  // namespace detente::cli
