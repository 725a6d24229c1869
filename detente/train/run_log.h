// SPDX-License-Identifier: Apache-2.0
// The observers that every run has: its files, TensorBoard's events, progress for people.
#pragma once

#include <detente/core/stopwatch.h>
#include <detente/report/tensorboard.h>
#include <detente/train/metrics_log.h>
#include <detente/train/progress.h>
#include <detente/train/run_observer.h>

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::train {

// metrics.jsonl, and at the end summary.json and report.html.
class FileLog final : public RunObserver {
 public:
  // `say` gets a line for people where the log of an earlier process was damaged.
  explicit FileLog(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

  void on_start(const RunInfo& info) override;
  void on_step(const report::StepRecord& record) override;
  void on_epoch(const report::EpochRecord& record) override;
  void on_finish(const Json& summary) override;

  // From on_start on.
  MetricsLog& log() { return *metrics_; }

 private:
  std::function<void(const std::string&)> say_;
  RunDirectory run_;
  std::optional<MetricsLog> metrics_;
};

// events.out.tfevents.*; numbers that are not finite are left out.
class EventLog final : public RunObserver {
 public:
  void on_start(const RunInfo& info) override;
  void on_step(const report::StepRecord& record) override;
  void on_epoch(const report::EpochRecord& record) override;
  void on_finish(const Json& summary) override;

 private:
  void add(const std::string& tag, std::int64_t step, double value);

  std::optional<report::EventWriter> events_;
};

// Messages, a line per epoch, and a bar or lines in between with smoothed losses.
class ProgressLog final : public RunObserver {
 public:
  ProgressLog(std::ostream& out, Progress::Style style) : progress_(out, style) {}

  void on_start(const RunInfo& info) override;
  void on_step(const report::StepRecord& record) override;
  void on_epoch(const report::EpochRecord& record) override;
  void on_message(const std::string& text) override { progress_.line(text); }
  void on_finish(const Json& summary) override;

 private:
  Progress progress_;
  Stopwatch run_time_;
  Progress::State state_;
  double examples_per_step_ = 0;
};

// Hands everything on, in the order in which they were added.
class ObserverList final : public RunObserver {
 public:
  void add(std::shared_ptr<RunObserver> observer) { observers_.push_back(std::move(observer)); }

  void on_start(const RunInfo& info) override;
  void on_step(const report::StepRecord& record) override;
  void on_epoch(const report::EpochRecord& record) override;
  void on_message(const std::string& text) override;
  void on_finish(const Json& summary) override;
  bool stop() override;

 private:
  std::vector<std::shared_ptr<RunObserver>> observers_;
};

}  // namespace detente::train
