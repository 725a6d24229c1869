// SPDX-License-Identifier: Apache-2.0
// What a measured step says about the tasks' gradients, as the "diagnosis" of its line in
// metrics.jsonl (docs/run_directory.md).
#pragma once

#include <detente/core/json.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/train/curvature.h>

#include <optional>
#include <string>
#include <vector>

namespace detente::train {

// Null when the step has nothing of it: the tasks' gradients were not formed and no curvature was
// measured.
Json diagnosis_json(const std::vector<std::string>& tasks,
                    const engine::StepReport& report,
                    const std::optional<Curvature>& curvature);

}  // namespace detente::train
