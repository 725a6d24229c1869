// SPDX-License-Identifier: Apache-2.0
// What a benchmark's words say to the engine.
#pragma once

#include <detente/engine/multi_task_backward.h>
#include <detente/measure/step_benchmark.h>

namespace detente::measure {

// Strategy, memory and passes. Throws kInvalidArgument for unknown words.
engine::MultiTaskOptions engine_options_of(const StepBenchmarkOptions& options);

}  // namespace detente::measure
