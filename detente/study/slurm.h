// SPDX-License-Identifier: Apache-2.0
// The runs of a study as one array job of SLURM. Each index of the array trains one run as the sweep on one
// machine does (sweep.h) and writes its result down in the same place.
//
//   OUT/slurm/NAME.json            which run each index trains; written at submission, never changed
//   OUT/slurm/NAME.sh              the job's script
//   OUT/slurm/JOB_INDEX.log        what it said
//   OUT/slurm/job.json             the job that was submitted last
#pragma once

#include <detente/study/sweep.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace detente::study {

// Words as a shell would split them: blanks between, quotes and backslashes around blanks; nothing is
// expanded and no shell reads them. Throws kInvalidArgument where a quote does not end.
std::vector<std::string> split_words(std::string_view text);

// The same for the options of sbatch, checked: those that this file sets itself (--array, --job-name, --chdir,
// --wrap and their short forms) and words that are no option's value are refused (kInvalidArgument).
std::vector<std::string> sbatch_options(std::string_view text);

struct SlurmOptions {
  std::string sbatch;         // more options of sbatch, as sbatch_options takes them
  int at_once = 0;            // runs at once; 0: as many as the cluster gives
  bool threads_open = false;  // whether each run takes as many threads as its job has cores
};

struct SlurmStatus {
  std::size_t total = 0;     // runs of the study
  std::size_t finished = 0;  // have a result
  std::size_t failed = 0;    // wrote down that they failed
  std::size_t running = 0;
  std::size_t waiting = 0;    // in the queue
  std::size_t submitted = 0;  // by this call
  bool complete = false;      // no job runs, and every run has a result or has failed
  std::string text;           // the above in words
};

// Where no job of this study is in the queue any more: submits what has no result, or a failed one, as one
// array job (at most 1,000 runs; the rest the next time). Else nothing is submitted. Throws
// kUnsupported where sbatch or squeue is missing, kInvalidArgument with its words where sbatch refuses, kIo
// where squeue cannot tell.
SlurmStatus train_on_slurm(const std::vector<Variant>& variants,
                           const SweepOptions& options,
                           const SlurmOptions& slurm);

// Throws kInvalidArgument where a job of the study in this folder is still in the queue, so that nobody
// trains the same runs beside it. Without squeue nothing is checked.
void check_no_job(const std::filesystem::path& out);

// What index `index` of an array does: trains the run that OUT/slurm/NAME.json (`list`) has there. Its result;
// empty where it was interrupted. Throws kData where the list is none or has no such index.
std::vector<RunResult> train_listed(const std::filesystem::path& list,
                                    std::size_t index,
                                    const std::filesystem::path& program,
                                    const SweepHooks& hooks);

}  // namespace detente::study
