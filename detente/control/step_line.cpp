// SPDX-License-Identifier: Apache-2.0
#include <detente/control/step_line.h>
#include <detente/core/moments.h>
#include <detente/train/diagnosis.h>

#include <algorithm>
#include <optional>

namespace detente::control {
report::StepRecord line_of(const std::vector<std::string>& tasks,
                           const UpdateReport& report,
                           const Window& window) {
  report::StepRecord record = train::step_record(tasks, *report.critic, std::nullopt);
  record.loss_scale = report::kNoNumber;
  record.monitor = {{"actor", finite_moments(report.actor->losses).mean},
                    {"entropy", report.entropy},
                    {"temperature", finite_moments(report.temperatures).mean},
                    {"train_success",
                     window.episodes > 0 ? window.successes / window.episodes : report::kNoNumber}};
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, window.steps));
  record.ms = {{"total", 1e3 * (window.worlds_s + window.updates_s) / steps},
               {"worlds", 1e3 * window.worlds_s / steps},
               {"updates", 1e3 * window.updates_s / steps}};
  return record;
}

}  // namespace detente::control
