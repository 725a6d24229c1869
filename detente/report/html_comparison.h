// SPDX-License-Identifier: Apache-2.0
// Several runs side by side: one table, and their curves in one picture.
#pragma once

#include <detente/core/json.h>
#include <detente/report/html_page.h>
#include <detente/report/run_data.h>
#include <detente/report/table.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::report {

struct ComparedRun {
  std::string label;  // "cagrad"; shown in tables and legends
  RunData run;
  std::string link;  // path of its own report, relative to the page; "" for none
};

// Something to compare with that is no training run: {TASK: {METRIC: value}}.
struct Baseline {
  std::string label;
  Json tasks;
};

struct Comparison {
  Table table;  // rows: task and metric; then conflict share, time; columns: baselines, runs
  std::vector<std::pair<std::size_t, std::size_t>> best;  // cells (row, column) to print bold
  std::vector<std::string> warnings;                      // what of a run could not be read
};

// Ties are all best; a row with one value has no best.
Comparison compare_runs(std::span<const ComparedRun> runs,
                        std::span<const Baseline> baselines = {});

std::string html_comparison(const std::string& title,
                            std::span<const ComparedRun> runs,
                            std::span<const Baseline> baselines = {});

// Reads the runs and writes `file`, with links to each run's report.html. The label of a run is
// its method, or its folder's name where two runs share a method.
Comparison write_comparison_html(const std::filesystem::path& file,
                                 const std::string& title,
                                 std::span<const std::filesystem::path> run_dirs,
                                 std::span<const Baseline> baselines = {});

}  // namespace detente::report
