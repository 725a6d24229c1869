// SPDX-License-Identifier: Apache-2.0
#include <detente/core/crash_point.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/report/html_page.h>
#include <detente/report/html_report.h>
#include <detente/report/run_data.h>
#include <detente/train/run_log.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
namespace {

std::string metrics_text(const report::NamedTables& dev) {
  std::string text;
  for (const auto& [task, metrics] : dev) {
    text += (text.empty() ? "" : " | ") + task;
    for (const auto& [name, value] : metrics) {
      if (report::baseline_of(name)) continue;
      text += " " + name + " " + report::value_text(value);
      std::string beside;
      for (const auto& [other, number] : metrics) {
        const auto without = report::baseline_of(other);
        if (!without || without->metric != name) continue;
        beside += (beside.empty() ? " (" : ", ") + without->of + " " + report::value_text(number);
      }
      if (!beside.empty()) text += beside + ")";
    }
  }
  return text;
}

}  // namespace

void FileLog::on_start(const RunInfo& info) {
  run_ = info.run;
  metrics_.emplace(run_.metrics(), info.resumed ? info.step : -1, info.log_bytes);
  if (const auto& lines = metrics_->left_out(); !lines.empty()) {
    say_(fmt::format(
        "warning: {} of metrics.jsonl could not be read (damaged, or cut short when the "
        "run was stopped) and {} left out of it now.",
        report::lines_text(lines),
        lines.size() == 1 ? "is" : "are"));
  } else if (metrics_->changed()) {
    say_(
        fmt::format("warning: metrics.jsonl is not the log that this run had at its snapshot ({} "
                    "bytes of {} are left): "
                    "lines are lost or changed, and curves and the report lack them. The model is "
                    "not touched by that.",
                    metrics_->bytes(),
                    info.log_bytes));
  }
}

void FileLog::on_step(const report::StepRecord& record) { metrics_->write(record.to_json()); }

void FileLog::on_epoch(const report::EpochRecord& record) { metrics_->write(record.to_json()); }

void FileLog::on_finish(const Json& summary) {
  write_own_file(run_.summary(), json_text(summary) + "\n");
  crash_point("finish.summary");
  report::write_html_report(run_.root);
}

void EventLog::on_start(const RunInfo& info) {
  events_.emplace(info.run.root);
  if (info.resumed) events_->restart_at(info.step + 1);
}

void EventLog::add(const std::string& tag, std::int64_t step, double value) {
  if (std::isfinite(value)) events_->add_scalar(tag, step, value);
}

void EventLog::on_step(const report::StepRecord& record) {
  add("train/lr", record.step, record.lr);
  for (const auto& [task, loss] : record.losses) add("train/loss/" + task, record.step, loss);
  for (const auto& [task, weight] : record.weights) {
    add("train/weight/" + task, record.step, weight);
  }
  for (const auto& [name, value] : record.monitor) add("train/" + name, record.step, value);
  if (!record.gradients) return;
  for (const auto& [task, norm] : record.gradients->norms) {
    add("train/gradient_norm/" + task, record.step, norm);
  }
  for (const auto& [pair, cosine] : record.gradients->cosines) {
    add("train/cosine/" + pair, record.step, cosine);
  }
}

void EventLog::on_epoch(const report::EpochRecord& record) {
  for (const auto& [task, metrics] : record.dev) {
    for (const auto& [name, value] : metrics) add("dev/" + task + "/" + name, record.step, value);
  }
  events_->flush();
}

void EventLog::on_finish(const Json& /*summary*/) { events_->flush(); }

void ProgressLog::on_start(const RunInfo& info) {
  run_time_ = Stopwatch();
  state_.epochs = info.recipe.loop.epochs;
  state_.steps = info.steps_per_epoch;
  state_.total = info.total_steps;
  state_.start = info.step;
  examples_per_step_ = static_cast<double>(info.train_rows) /
                       static_cast<double>(std::max<std::int64_t>(1, info.steps_per_epoch));
}

void ProgressLog::on_step(const report::StepRecord& record) {
  state_.epoch = record.epoch;
  state_.step = record.step - (record.epoch - 1) * state_.steps;
  state_.done = record.step;
  state_.seconds = run_time_.seconds();
  state_.examples_per_second = static_cast<double>(record.step - state_.start) *
                               examples_per_step_ / std::max(1e-9, state_.seconds);
  if (state_.losses.empty()) {
    for (const auto& [task, loss] : record.losses) state_.losses.emplace_back(task, std::nan(""));
  }
  for (std::size_t k = 0; k < record.losses.size(); ++k) {
    const double loss = record.losses[k].second;
    double& smooth = state_.losses[k].second;
    if (!std::isnan(loss)) smooth = std::isnan(smooth) ? loss : 0.95 * smooth + 0.05 * loss;
  }
  progress_.update(state_);
}

void ProgressLog::on_epoch(const report::EpochRecord& record) {
  const std::string metrics = metrics_text(record.dev);
  progress_.line(fmt::format("epoch {}/{} in {}{}{}{}",
                             record.epoch,
                             state_.epochs,
                             report::duration_text(record.seconds),
                             metrics.empty() ? "" : ": ",
                             metrics,
                             record.best ? " (best)" : ""));
}

void ProgressLog::on_finish(const Json& /*summary*/) { progress_.finish(); }

void ObserverList::on_start(const RunInfo& info) {
  for (const auto& observer : observers_) observer->on_start(info);
}

void ObserverList::on_step(const report::StepRecord& record) {
  for (const auto& observer : observers_) observer->on_step(record);
}

void ObserverList::on_epoch(const report::EpochRecord& record) {
  for (const auto& observer : observers_) observer->on_epoch(record);
}

void ObserverList::on_message(const std::string& text) {
  for (const auto& observer : observers_) observer->on_message(text);
}

void ObserverList::on_finish(const Json& summary) {
  for (const auto& observer : observers_) observer->on_finish(summary);
}

bool ObserverList::stop() {
  // Each is asked: one may count the calls.
  bool any = false;
  for (const auto& observer : observers_) any = observer->stop() || any;
  return any;
}

}  // namespace detente::train
