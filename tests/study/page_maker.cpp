// SPDX-License-Identifier: Apache-2.0
// page_maker run DIR      writes DIR/report.html
// page_maker study DIR    writes DIR/comparison.html and DIR/comparison.json
//
// The pages as `detente report` makes them, without LibTorch: a study is described by DIR/plan.json,
//   {"title", "command", "methods": "ew,cagrad[c=0.2]", "grid": ["optimizer.lr=1,2"], "seeds": 3,
//    "single": true, "tasks": [{"name", "metrics": [{"name", "higher_is_better"}]}]}
// and its runs and results lie where study/sweep.h says.
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/json_text.h>
#include <detente/report/html_report.h>
#include <detente/study/study_page.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace detente {
namespace {

namespace fs = std::filesystem;

void make_study(const fs::path& folder) {
  const Json plan = Json::parse(read_file(folder / "plan.json"));
  std::vector<study::StudyTask> tasks;
  std::vector<study::Baseline> baselines;
  for (const Json& told : plan.at("tasks")) {
    study::StudyTask task{told.at("name"), {}};
    for (const Json& metric : told.at("metrics")) {
      task.metrics.push_back({metric.at("name"), metric.at("higher_is_better")});
    }
    if (plan.at("single").get<bool>()) baselines.push_back({task.name, task.metrics.front().name});
    tasks.push_back(std::move(task));
  }
  const auto methods = study::parse_methods(plan.at("methods").get<std::string>());
  const auto grid = study::parse_grid(plan.at("grid").get<std::vector<std::string>>());
  const auto variants = study::plan_variants(
      methods, grid, baselines, [](const study::MethodSpec* method, const study::GridAxis&) {
        return method != nullptr;
      });
  study::SweepOptions options;
  options.out = fs::absolute(folder);
  for (int seed = 0; seed < plan.at("seeds").get<int>(); ++seed) options.seeds.push_back(seed);
  const auto results = study::read_results(variants, options);
  const auto chosen = study::chosen_variants(variants, tasks, results);
  const auto analysis = study::analyse(variants, chosen, tasks, options.seeds, results);
  write_file_atomic(folder / "comparison.json", json_text(analysis.to_json()) + "\n");
  write_file_atomic(folder / "comparison.html",
                    study::study_page({plan.at("title"), plan.at("command"), "name: made\n"},
                                      analysis,
                                      variants,
                                      chosen,
                                      tasks,
                                      options));
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
