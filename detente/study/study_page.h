// SPDX-License-Identifier: Apache-2.0
// A study as one page that holds all it shows.
#pragma once

#include <detente/study/results.h>
#include <detente/study/sweep.h>

#include <span>
#include <string>

namespace detente::study {

struct PageFacts {
  std::string title;
  std::string command;  // that makes the study again
  std::string recipe;   // its text
};

// Reads the chosen variants' runs for their curves. Links are relative to options.out.
std::string study_page(const PageFacts& facts,
                       const Analysis& analysis,
                       const std::vector<Variant>& variants,
                       std::span<const std::size_t> chosen,
                       std::span<const StudyTask> tasks,
                       const SweepOptions& options);

}  // namespace detente::study
