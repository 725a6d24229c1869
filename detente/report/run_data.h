// SPDX-License-Identifier: Apache-2.0
// What a run left behind, read from its folder: summary.json, metrics.jsonl, recipe.yaml,
// answers.json and looks.json.
//
// Reading is forgiving, because a report matters most when a run went wrong: files and fields may
// be missing, null or of another type, the last line may be cut; the reader takes what is there and
// says what it left out.
#pragma once

#include <detente/core/json.h>
#include <detente/report/answers.h>
#include <detente/report/looks.h>
#include <detente/report/run_record.h>

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::report {

// The file that marks a run's folder and is locked while a process trains there (train/run_lock.h).
inline constexpr const char* kRunMark = ".detente-run";

// One value per step and name; NaN where a step has none.
struct Curves {
  std::vector<std::string> names;  // in the order in which they first appear
  std::vector<std::vector<double>> values;

  bool empty() const { return names.empty(); }
  const std::vector<double>* find(std::string_view name) const;
};

// What was measured of one group of shared parameters.
struct GroupCurves {
  std::string name;
  Curves grad_norms;
  Curves cosines;  // named "task|task"
};

struct RunData {
  std::string folder;             // last part of the folder's path
  Json summary = Json::object();  // summary.json, or {} without one
  std::string recipe;             // text of recipe.yaml, or ""
  std::vector<std::string> tasks;

  std::vector<double> steps;  // ascending; a step written twice (a resumed run) counts once
  std::vector<double> loss;
  std::vector<double> learning_rate;
  std::vector<double> direction_norm;
  std::vector<double> conflict;  // 1, 0 or NaN
  Curves losses;
  Curves weights;
  Curves grad_norms;
  Curves cosines;  // named "task|task"
  Curves milliseconds;
  Curves monitor;  // what the losses say of themselves (StepRecord::monitor)
  // From the steps' diagnoses; named "task|task", the conditions of the triad 1, 0 or NaN.
  Curves xi;
  Curves dominated;
  Curves curved;
  Curves large_step;
  Curves curvature;  // named as DiagnosisRecord says
  std::deque<GroupCurves> groups;
  std::vector<EpochRecord> epochs;
  std::optional<RunAnswers> answers;          // nothing without answers.json
  std::optional<RunLooks> looks;              // nothing without looks.json
  std::vector<std::size_t> unreadable_lines;  // of metrics.jsonl, from 1
  bool unreadable_summary = false;
  bool unreadable_answers = false;
  bool unreadable_looks = false;

  // What could not be read, one sentence each, to be told wherever the run is shown.
  std::vector<std::string> warnings() const;

  // Whether an agent was trained (a recipe with worlds), whose steps are measured whenever they are logged.
  bool of_agent() const;
  // summary[key], else `fallback` (missing or another type).
  std::string text(const char* key, const std::string& fallback = "") const;
  double number(const char* key) const;  // NaN when missing
  // From the summary, else from the steps; NaN when nothing was measured.
  double conflict_share() const;
  double mean_cosine() const;
  // Final metrics: summary.tasks, else the best epoch's, else the last one's.
  NamedTables results() const;
};

// Of a run of many steps the epochs are read in a fraction of the time; the steps, the answers and
// the looks are then left out, unread.
enum class RunParts { kAll, kEpochs };

// kIo when the folder does not exist; kData when none of the first three files is in it.
RunData read_run(const std::filesystem::path& folder, RunParts parts = RunParts::kAll);

// From the files' texts.
RunData parse_run(const std::string& folder,
                  std::string_view summary,
                  std::string_view metrics,
                  std::string recipe,
                  RunParts parts = RunParts::kAll,
                  std::string_view answers = {},
                  std::string_view looks = {});

// A run that still grows: what has been added to its files is added here, and nothing is read twice.
class GrowingRun {
 public:
  explicit GrowingRun(std::string folder, RunParts parts = RunParts::kAll);
  ~GrowingRun();
  GrowingRun(const GrowingRun&) = delete;
  GrowingRun& operator=(const GrowingRun&) = delete;

  // The next whole line of metrics.jsonl. Cost: that of the line.
  void add_line(std::string_view line);
  // The whole texts, each time they have changed.
  void set_summary(std::string_view text);
  void set_recipe(std::string text);
  void set_answers(std::string_view text);
  void set_looks(std::string_view text);
  // As parse_run would give it for all of that; until the next call of one of the above.
  const RunData& data();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// "line 3", "lines 3, 5, 9", "lines 1, 2, 3, 4, 5 and 20 more".
std::string lines_text(const std::vector<std::size_t>& lines);

// Beside what a network's features are worth stands what the same is without it (train/probe.h):
// "raw_knn20" is knn20 of the raw inputs, "untrained_knn20" of the network before its first step.
struct BaselineMetric {
  std::string of;      // "raw inputs", "untrained network"
  std::string metric;  // "knn20"
};
std::optional<BaselineMetric> baseline_of(std::string_view metric);
// "knn20", "knn20 of the raw inputs".
std::string metric_text(const std::string& metric);

// As the registry of metrics says; of names that are not in it, losses, errors and their like.
bool lower_is_better(std::string_view metric);

// Mean of the finite values; NaN without any.
double finite_mean(const std::vector<double>& values);

}  // namespace detente::report
