// SPDX-License-Identifier: Apache-2.0
#include <detente/control/step_line.h>
#include <detente/train/diagnosis.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace detente::control {
namespace {

// Without those that are not there.
double mean(const std::vector<double>& values) {
  double sum = 0;
  double count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : report::kNoNumber;
}

}  // namespace

report::StepRecord line_of(const std::vector<std::string>& tasks,
                           const UpdateReport& report,
                           const Window& window) {
  report::StepRecord record = train::step_record(tasks, *report.critic, std::nullopt);
  record.loss_scale = report::kNoNumber;
  record.monitor = {{"actor", mean(report.actor->losses)},
                    {"entropy", report.entropy},
                    {"temperature", mean(report.temperatures)},
                    {"train_success",
                     window.episodes > 0 ? window.successes / window.episodes : report::kNoNumber}};
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, window.steps));
  record.ms = {{"total", 1e3 * (window.worlds_s + window.updates_s) / steps},
               {"worlds", 1e3 * window.worlds_s / steps},
               {"updates", 1e3 * window.updates_s / steps}};
  return record;
}

}  // namespace detente::control
