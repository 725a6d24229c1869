// SPDX-License-Identifier: Apache-2.0
// A study as one page that holds all it shows.
#pragma once

#include <detente/report/run_data.h>
#include <detente/study/results.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace detente::study {

struct PageFacts {
  std::string title;
  std::string command;     // that makes the study again
  std::string recipe;      // its text
  bool test_rows = false;  // whether the recipe sets rows aside for testing
  std::string so_far;      // "7 of 12 runs so far"; empty: all there are
};

// Where the page finds the runs.
struct PageRuns {
  // The run in this folder (study/sweep.h, run_folder), its epochs alone; nothing where there is none yet.
  std::function<std::optional<report::RunData>(const std::filesystem::path& folder)> read;
  // The address of its page, seen from the study's; empty: it has none.
  std::function<std::string(const std::filesystem::path& folder)> link;
};
// Those in a study's folder, for a page that lies in it.
PageRuns runs_in(const std::filesystem::path& study);

// Reads the chosen variants' runs for their curves.
std::string study_page(const PageFacts& facts,
                       const Analysis& analysis,
                       std::span<const Variant> variants,
                       std::span<const std::size_t> chosen,
                       std::span<const StudyTask> tasks,
                       std::span<const std::int64_t> seeds,
                       const PageRuns& runs);

}  // namespace detente::study
