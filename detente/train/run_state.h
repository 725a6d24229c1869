// SPDX-License-Identifier: Apache-2.0
// Where a run stands, apart from its tensors: position, sums for the log and the summary, the best
// epoch. Goes into the snapshot.
#pragma once

#include <detente/core/json.h>
#include <detente/report/run_record.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace detente::train {

// Papers on NYUv2 and Cityscapes print the mean over so many epochs at the end of a run.
inline constexpr std::size_t kLastEpochs = 10;

struct RunState {
  std::int64_t step = 0;          // steps done in the whole run
  std::int64_t epoch = 0;         // the epoch under way, from 0
  std::int64_t batch = 0;         // batches done in it
  std::vector<double> loss_sums;  // of the epoch under way, per task
  std::vector<double> loss_counts;
  double seconds = 0;  // time spent training
  double epoch_seconds = 0;
  std::int64_t best_epoch = 0;  // from 1; 0: none yet
  // Of the selection metric, higher is better; NaN: undefined in all epochs so far.
  double best_value = std::numeric_limits<double>::quiet_NaN();
  Json best_metrics = nullptr;        // of the kept model
  Json last_metrics = Json::array();  // of the newest epochs, kLastEpochs at most, the oldest first
  std::int64_t diagnosed_steps = 0;
  std::int64_t conflict_steps = 0;
  double cosine_sum = 0;  // over pairs and diagnosed steps
  std::int64_t cosine_count = 0;
  std::int64_t skipped_steps = 0;    // see engine.loss_scaling
  std::int64_t optimizer_steps = 0;  // as the optimiser counts them
  Json method_state = nullptr;       // see methods_state
  Json engine_state = nullptr;
  std::vector<std::string> notices;  // of the engine, in the log already
  std::int64_t log_bytes = -1;       // of metrics.jsonl, at the snapshot; -1: not known
  std::string train_digest;          // of the rows, see data::Source::digest; empty: not known
  std::string dev_digest;
  bool finished = false;

  // Whether an epoch with this value (NaN: undefined) is the best so far: the first one is, then
  // one that is better, or defined where none was.
  bool is_best(double value) const;

  // What a step's record adds to the sums above; step, epoch and batch are the trainer's.
  void count(const report::StepRecord& record);
  // An epoch's metrics, task → metric → value, null where undefined.
  void count_epoch(const Json& metrics);
  // {"epochs": n, "tasks": ...}: the means over the newest epochs, of each metric over those that measured
  // it; null where it was undefined in one of them.
  Json last_epochs() const;
  // The sums of an epoch begin again, for so many tasks.
  void begin_epoch(std::size_t tasks);
  // Each task's mean over the steps of the epoch so far; NaN for one without any.
  std::vector<double> train_losses() const;

  Json to_json() const;
  // Throws nlohmann::json::exception for what to_json cannot have written.
  static RunState from_json(const Json& json);
};

}  // namespace detente::train
