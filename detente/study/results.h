// SPDX-License-Identifier: Apache-2.0
// What the runs of a study reached, and what may be said of it.
#pragma once

#include <detente/core/json.h>
#include <detente/metrics/paired.h>
#include <detente/report/run_record.h>
#include <detente/study/plan.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::study {

struct StudyMetric {
  std::string name;
  bool higher_is_better = true;
};
struct StudyTask {
  std::string name;
  std::vector<StudyMetric> metrics;  // the first one decides
};

// One run: a variant with a seed.
struct RunResult {
  std::size_t variant = 0;
  std::int64_t seed = 0;
  report::NamedTables dev;   // of the epoch that was kept
  report::NamedTables test;  // empty: not measured
  double seconds = report::kNoNumber;
  double ms_per_step = report::kNoNumber;
  std::string failure;  // empty: it finished

  Json to_json() const;
  // Nothing for what is none.
  static std::optional<RunResult> from_json(const Json& json);
};

// Whether all numbers are of the test rows, or of the rows that chose the epochs.
enum class Measured { kTest, kDev };

struct MetricRow {
  std::string method;
  std::string task;
  std::string metric;
  metrics::Estimate estimate;
  std::vector<double> by_seed;  // NaN: failed or undefined
};

struct Verdict {
  std::string method;
  std::string reference;
  std::string task;
  std::string metric;
  metrics::PairedTest test;  // method - reference, in the metric's unit
  bool higher_is_better = true;
  double p_holm = 0;
  double detectable = 0;  // the difference that so many seeds show with probability 0.8
  std::string text;
};

struct MethodSummary {
  std::string method;
  std::string setting;        // that validation chose; empty without a grid
  double delta_m_metric = 0;  // against the single-task baselines; NaN without
  double delta_m_task = 0;
  double mean_rank = 0;  // over tasks, by the means of their first metrics; 1 is best
  double seconds = 0;    // mean of its runs
  double ms_per_step = 0;
  // Time of a step against the reference's in percent, of the runs of one seed; without values for itself.
  metrics::Estimate step_change{report::kNoNumber, report::kNoNumber, report::kNoNumber, 0};
  std::size_t finished = 0;
  std::size_t failed = 0;
};

struct Analysis {
  Measured measured = Measured::kDev;
  std::string reference;  // ew where it is there, else the first method
  std::vector<std::int64_t> seeds;
  std::vector<MethodSummary> methods;  // in the order of the plan; baselines are no methods
  std::vector<MetricRow> rows;         // by task and metric, methods within; baselines as "single"
  std::vector<Verdict> verdicts;       // of the tasks' first metrics
  std::vector<std::string> sentences;  // the whole in words
  std::vector<std::string> notes;      // what failed or is missing

  // As docs/compare.md has it.
  Json to_json() const;
};

// Variants of one family, best first by their validation results: over the tasks' first metrics the mean
// change, in units of the first variant's value, of the mean over seeds. Those of equal results keep
// their order; those without any come last.
std::vector<std::size_t> ranked(std::span<const std::size_t> family,
                                std::span<const Variant> variants,
                                std::span<const StudyTask> tasks,
                                std::span<const RunResult> results);

// The best one of each family.
std::vector<std::size_t> chosen_variants(std::span<const Variant> variants,
                                         std::span<const StudyTask> tasks,
                                         std::span<const RunResult> results);

// `chosen` as above. Results of other variants are not looked at.
Analysis analyse(std::span<const Variant> variants,
                 std::span<const std::size_t> chosen,
                 std::span<const StudyTask> tasks,
                 std::span<const std::int64_t> seeds,
                 std::span<const RunResult> results);

}  // namespace detente::study
