// SPDX-License-Identifier: Apache-2.0
// The runs of a study, several at once, each a process of its own: one that dies takes no other with
// it. What has finished is written down at once and never run again; what was interrupted goes on from
// its snapshot.
//
//   OUT/runs/<variant>/seed-<n>/             the run's folder
//   OUT/runs/<variant>/seed-<n>.json         RunResult, when it has ended
//   OUT/runs/<variant>/seed-<n>.log          what its processes said
#pragma once

#include <detente/study/results.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::study {

struct SweepOptions {
  std::filesystem::path program;  // this program
  std::filesystem::path recipe;   // the file all runs read
  std::filesystem::path out;
  std::vector<std::string> overrides;  // of all runs
  std::vector<std::int64_t> seeds;
  int jobs = 1;
};

struct SweepProgress {
  std::size_t ended = 0;
  std::size_t total = 0;
  double seconds_left = 0;          // NaN: not known yet
  std::string text;                 // what has just ended; empty: one has begun
  bool failed = false;              // that one
  std::vector<PlannedRun> running;  // now
};

struct SweepHooks {
  std::function<void(const SweepProgress&)> on_change;  // a run has ended, or has begun
  std::function<bool()> stop;                           // whether to end early
  // Called before a run goes on in its folder: waits for a process of a killed study that still writes
  // there. None: nothing is waited for.
  std::function<void(const std::filesystem::path&)> wait_until_free;
};

// Of these runs the ones that have not succeeded: without a result, or failed. Seed by seed, so that a study
// that is stopped early has pairs.
std::vector<PlannedRun> unfinished_runs(std::size_t variants,
                                        std::span<const std::int64_t> seeds,
                                        std::span<const RunResult> results);

// Trains what has no result yet. When `stop` says so, running ones are asked to save themselves and
// waited for. Results of failed runs are made anew. The results there are, in the order of variants and seeds.
std::vector<RunResult> train_all(const std::vector<Variant>& variants,
                                 const SweepOptions& options,
                                 const SweepHooks& hooks);

// The same for the runs that halving.h asks for, round after round.
std::vector<RunResult> train_by_halving(const std::vector<Variant>& variants,
                                        std::span<const StudyTask> tasks,
                                        const SweepOptions& options,
                                        const SweepHooks& hooks);

// Measures the test rows with the runs of these variants that have finished and were not measured yet.
std::vector<RunResult> test_chosen(const std::vector<Variant>& variants,
                                   std::span<const std::size_t> chosen,
                                   const SweepOptions& options,
                                   const SweepHooks& hooks);

// A run's folder seen from the study's; its result is beside it, with ".json" behind its name.
std::filesystem::path run_folder(const Variant& variant, std::int64_t seed);

// What is written down.
std::vector<RunResult> read_results(const std::vector<Variant>& variants,
                                    const SweepOptions& options);
// The same through `text`, which gives the text of a file of the study's folder; nothing where there is none.
using ReadText = std::function<std::optional<std::string>(const std::filesystem::path& file)>;
std::vector<RunResult> read_results(std::span<const Variant> variants,
                                    std::span<const std::int64_t> seeds,
                                    const ReadText& text);

}  // namespace detente::study
