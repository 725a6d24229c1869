// SPDX-License-Identifier: Apache-2.0
// `detente compare RECIPE --methods ...`: methods with several seeds, and a verdict.
#pragma once

#include <detente/cli/command.h>
#include <detente/core/interrupt.h>
#include <detente/study/sweep.h>

#include <filesystem>
#include <string>
#include <vector>

namespace detente::cli {

struct CompareMethodsFlags {
  std::string recipe;
  std::string methods;
  std::string out;
  std::string title;
  std::vector<std::string> grid;
  std::vector<std::string> overrides;
  std::string seeds = "3";  // how many, or which ones (study::parse_seeds)
  int jobs = 0;             // 0: as many as there are cores
  std::string submit;       // "slurm", or empty: trained here
  std::string sbatch;       // more options of sbatch
  bool no_single = false;
  bool halving = false;
  bool quiet = false;
  bool json = false;
};

// The program's exit code where runs of a study have failed and the tables are of the others.
inline constexpr int kRunsFailed = 5;

// Ends the runs when the guard is interrupted, and waits for processes of a study that was killed: they save
// themselves and end, and until then they have their folders.
study::SweepHooks sweep_hooks(const InterruptGuard& guard);

void compare_methods(const CompareMethodsFlags& flags, Context& context);

// Whether the folder is one that compare_methods has written, and its tables and page from what is there
// now; trains nothing.
bool is_study(const std::filesystem::path& folder);
void report_study(const std::filesystem::path& folder, bool json, Context& context);

}  // namespace detente::cli
