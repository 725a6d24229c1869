// SPDX-License-Identifier: Apache-2.0
// The page and the inspection of a stranger's run: summary, log, recipe and answers between bytes 1.
#include <detente/report/html_report.h>
#include <detente/report/inspection.h>
#include <detente/report/run_data.h>
#include <detente/text/unicode.h>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  std::string_view rest = fuzz::text_of(data, size);
  const std::string_view summary = fuzz::take_until(rest, '\x01');
  const std::string_view metrics = fuzz::take_until(rest, '\x01');
  const std::string_view recipe = fuzz::take_until(rest, '\x01');
  fuzz::survive([&] {
    const report::RunData run = report::parse_run(
        "folder", summary, metrics, std::string(recipe), report::RunParts::kAll, rest);
    fuzz::survive([&] { report::inspect_run(run, {}).json().dump(); });
    const std::string page = report::html_report(run);
    fuzz::expect(text::find_invalid_utf8(page) == std::string::npos, "pages are UTF-8");
    // Every word of the run is escaped: these are in the dictionary of inputs.
    fuzz::expect(page.find("<evil") == std::string::npos, "no tag of the run's");
    fuzz::expect(page.find("\" evil=") == std::string::npos, "no attribute of the run's");
  });
}
