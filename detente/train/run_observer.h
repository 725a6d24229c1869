// SPDX-License-Identifier: Apache-2.0
// What watches a training run: its log, its event file and its progress on the screen are
// observers, and the caller of train() may add more (TrainOptions::observers).
//
//   class StopEarly : public train::RunObserver {
//     void on_epoch(const report::EpochRecord& record) override { stop_ = record.epoch >= 3; }
//     bool stop() override { return stop_; }
//     bool stop_ = false;
//   };
//
// All calls come from the thread that trains, one after the other: on_start, then on_step for every
// step and on_epoch after an epoch's last one, then on_finish; on_message at any time, also before
// on_start. Where several processes train one model, the first alone has observers. An exception
// thrown here ends the run as an error of a step does: the last snapshot stays.
#pragma once

#include <detente/core/json.h>
#include <detente/report/run_record.h>
#include <detente/train/recipe.h>
#include <detente/train/run_directory.h>

#include <cstdint>
#include <string>

namespace detente::train {

// A run whose first step is about to be made.
struct RunInfo {
  const Recipe& recipe;
  const RunDirectory& run;
  std::int64_t step = 0;  // steps done before; of an earlier process where the run is resumed
  bool resumed = false;
  std::int64_t log_bytes = -1;  // of metrics.jsonl at the snapshot; -1: not known
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t train_rows = 0;
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;

  // Throwing here is the cheap moment to refuse: no step has been made.
  virtual void on_start(const RunInfo& /*info*/) {}
  // After the step: the parameters have moved. The record is what metrics.jsonl holds.
  virtual void on_step(const report::StepRecord& /*record*/) {}
  // After the evaluation; model.safetensors is this epoch's model where it is the best so far.
  virtual void on_epoch(const report::EpochRecord& /*record*/) {}
  // A line for people: a warning, a notice, what is done now.
  virtual void on_message(const std::string& /*text*/) {}
  // All steps are done, or the run was stopped: everything is saved. `summary` is summary.json.
  virtual void on_finish(const Json& /*summary*/) {}

  // Asked after every step; true ends the run there as Ctrl-C does: everything is saved, and
  // --resume goes on.
  virtual bool stop() { return false; }
};

}  // namespace detente::train
