// SPDX-License-Identifier: Apache-2.0
// The learning rate's course: linear warm-up, then constant, linear or cosine decay to a floor.
#pragma once

#include <detente/core/fields.h>

#include <cstdint>

namespace detente::train {

struct ScheduleOptions {
  enum class Kind { kConstant, kLinear, kCosine };
  Kind kind = Kind::kCosine;
  double warmup = 0.1;  // share of all steps
  double floor = 0.0;   // share of the peak rate kept at the end

  void describe(FieldVisitor& visitor);
};

// The factor on the peak rate for step 0 <= step < total; in (0, 1] during warm-up's last step
// and after, never 0 at the first step.
double schedule_factor(const ScheduleOptions& options, std::int64_t step, std::int64_t total);

}  // namespace detente::train
