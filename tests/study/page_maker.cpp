// SPDX-License-Identifier: Apache-2.0
// page_maker run DIR      writes DIR/report.html
// page_maker study DIR    writes DIR/comparison.html and DIR/comparison.json
//
// The pages as `detente report` makes them, without LibTorch. A study is described by "plan" in DIR/study.json
// (study/written_study.h), and its runs and results lie where study/sweep.h says.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/json_text.h>
#include <detente/report/html_report.h>
#include <detente/study/written_study.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

namespace detente {
namespace {

namespace fs = std::filesystem;

void make_study(const fs::path& folder) {
  const Json file = Json::parse(read_file(folder / "study.json"));
  auto written = study::WrittenStudy::from_json(file.at("plan"));
  DETENTE_CHECK(written, ErrorCode::kData, "study.json has no plan of a study");
  written->facts.recipe = "name: made\n";
  study::SweepOptions options;
  options.out = fs::absolute(folder);
  options.seeds = written->seeds;
  const auto results = study::read_results(written->variants, options);
  const auto findings = study::findings_of(*written, results);
  write_file_atomic(folder / "comparison.json", json_text(findings.analysis.to_json()) + "\n");
  write_file_atomic(folder / "comparison.html",
                    study::study_page(*written, findings, study::runs_in(options.out)));
}

}  // namespace
}  // namespace detente

int main(int argc, char** argv) {
  try {
    const std::string what = argc == 3 ? argv[1] : "";
    if (what == "run") {
      detente::report::write_html_report(argv[2]);
    } else if (what == "study") {
      detente::make_study(argv[2]);
    } else {
      std::cerr << "page_maker run|study DIR\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
