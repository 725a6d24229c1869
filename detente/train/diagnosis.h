// SPDX-License-Identifier: Apache-2.0
// What a step says, as its line in metrics.jsonl has it (report/run_record.h).
#pragma once

#include <detente/engine/multi_task_backward.h>
#include <detente/report/run_record.h>
#include <detente/train/curvature.h>

#include <optional>
#include <string>
#include <vector>

namespace detente::train {

// One number per task, by name.
report::NamedNumbers by_task(const std::vector<std::string>& tasks,
                             const std::vector<double>& values);

// Everything of the report and the curvature. What the report does not know is left to the caller:
// epoch, step, learning rate, times.
report::StepRecord step_record(const std::vector<std::string>& tasks,
                               const engine::StepReport& report,
                               const std::optional<Curvature>& curvature);

// Nothing of it when the tasks' gradients were not formed and no curvature was measured.
report::DiagnosisRecord diagnosis_record(const std::vector<std::string>& tasks,
                                         const engine::StepReport& report,
                                         const std::optional<Curvature>& curvature);

}  // namespace detente::train
