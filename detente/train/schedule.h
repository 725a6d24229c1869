// SPDX-License-Identifier: Apache-2.0
// The learning rate's course: linear warm-up, then constant, linear or cosine decay to a floor, or steps down.
#pragma once

#include <detente/core/fields.h>

#include <cstdint>
#include <vector>

namespace detente::train {

struct ScheduleOptions {
  enum class Kind { kConstant, kLinear, kCosine, kStep };
  // How the first and the last step stand to the course's ends; with w steps of warm-up of T in all:
  //   kOpen       warm-up (j + 1)/w; decay (j - w)/(T - w), which is 1 after the last step
  //   kReference  warm-up j/(w - 1), from 0 on; the same decay (the published code of DINO)
  //   kInclusive  warm-up (j + 1)/w; decay (j - w)/(T - w - 1), which is 1 at the last step
  enum class Ends { kOpen, kReference, kInclusive };
  Kind kind = Kind::kCosine;
  double warmup = 0.1;  // share of all steps
  double floor = 0.0;   // share of the peak rate kept at the end
  Ends ends = Ends::kOpen;
  // kStep: shares of all steps, each of which multiplies the rate by `factor` from there on. The floor
  // and the ends do not count.
  std::vector<double> drops = {0.5};
  double factor = 0.5;

  void describe(FieldVisitor& visitor);
};

// The factor on the peak rate for step 0 <= step < total; 1 after the warm-up; 0 at the first step
// with a warm-up of the ends kReference alone.
double schedule_factor(const ScheduleOptions& options, std::int64_t step, std::int64_t total);

}  // namespace detente::train
