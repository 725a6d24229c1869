// SPDX-License-Identifier: Apache-2.0
#include <detente/train/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace detente::train {

void ScheduleOptions::describe(FieldVisitor& visitor) {
  visitor.choice("kind",
                 kind,
                 {{"constant", Kind::kConstant},
                  {"linear", Kind::kLinear},
                  {"cosine", Kind::kCosine},
                  {"step", Kind::kStep}},
                 "Course of the learning rate after the warm-up.");
  visitor.number("warmup",
                 warmup,
                 {.min = 0, .max = 1, .max_open = true},
                 "Share of all steps in which the rate rises linearly to its peak.");
  visitor.number("floor",
                 floor,
                 {.min = 0, .max = 1},
                 "Share of the peak rate that is left at the end of the decay.");
  visitor.choice(
      "ends",
      ends,
      {{"open", Ends::kOpen}, {"reference", Ends::kReference}, {"inclusive", Ends::kInclusive}},
      "Where the course stands at its ends. open: the first step of the warm-up has its "
      "share of the rate, and the decay would reach its end one step after the last. "
      "reference: the first step has 0 (the published code of DINO). inclusive: the "
      "last step has the end itself.");
  visitor.numbers("drops",
                  drops,
                  {.min = 0, .max = 1},
                  "With kind step: the rate is multiplied by factor when these shares of all steps "
                  "are done (0.5: after half of the epochs).");
  visitor.number("factor", factor, {.min = 0, .max = 1, .min_open = true}, "See drops.");
}

double schedule_factor(const ScheduleOptions& options, std::int64_t step, std::int64_t total) {
  const auto warmup =
      static_cast<std::int64_t>(std::llround(options.warmup * static_cast<double>(total)));
  if (step < warmup) {
    if (options.ends != ScheduleOptions::Ends::kReference) {
      return static_cast<double>(step + 1) / static_cast<double>(warmup);
    }
    // One step alone has the first of both ends.
    return static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup - 1));
  }
  const std::int64_t last = options.ends == ScheduleOptions::Ends::kInclusive ? 1 : 0;
  const double rest = static_cast<double>(std::max<std::int64_t>(1, total - warmup - last));
  const double done = std::clamp(static_cast<double>(step - warmup) / rest, 0.0, 1.0);
  double shape = 1.0;
  switch (options.kind) {
    case ScheduleOptions::Kind::kConstant:
      return 1.0;
    case ScheduleOptions::Kind::kStep:
      for (const double drop : options.drops) {
        if (static_cast<double>(step) >= drop * static_cast<double>(total)) shape *= options.factor;
      }
      return shape;
    case ScheduleOptions::Kind::kLinear:
      shape = 1.0 - done;
      break;
    case ScheduleOptions::Kind::kCosine:
      shape = 0.5 * (1.0 + std::cos(std::numbers::pi * done));
      break;
  }
  return options.floor + (1.0 - options.floor) * shape;
}

}  // namespace detente::train
