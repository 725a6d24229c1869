// SPDX-License-Identifier: Apache-2.0
// The options of DINO's loss (dino_loss.h), where nothing of LibTorch is needed.
#pragma once

#include <detente/core/fields.h>

#include <cstdint>

namespace detente::distill {

struct DinoOptions {
  double student_temperature = 0.1;         // τ_s > 0
  double teacher_temperature = 0.04;        // τ_t > 0, after the warm-up
  double first_teacher_temperature = 0.04;  // > 0, of the warm-up's first epoch
  std::int64_t teacher_warmup_epochs = 0;   // >= 0
  double centre_momentum = 0.9;             // in [0, 1]; 1: the centre stays at zero

  void describe(FieldVisitor& visitor);
};

// A warm-up must end within the run: kInvalidArgument otherwise, and for values that are not legal.
void check_dino_options(const DinoOptions& options, std::int64_t epochs);

}  // namespace detente::distill
