// SPDX-License-Identifier: Apache-2.0
// detente report DIR: the page of a run or of a study, made again.
#include <detente/cli/command.h>
#include <detente/cli/compare_methods.h>
#include <detente/core/error.h>
#include <detente/report/html_report.h>
#include <detente/report/run_data.h>
#include <detente/text/printable.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct ReportFlags {
  std::string folder;
  bool json = false;
};

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
