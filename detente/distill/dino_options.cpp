// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/dino_options.h>

namespace detente::distill {

void DinoOptions::describe(FieldVisitor& visitor) {
  visitor.number("student_temperature",
                 student_temperature,
                 {.min = 1e-3, .max = 100},
                 "What the student's outputs are divided by before the softmax.");
  visitor.number("teacher_temperature",
                 teacher_temperature,
                 {.min = 1e-3, .max = 100},
                 "The same for the teacher; below the student's, so that it is surer than it.");
  visitor.number("first_teacher_temperature",
                 first_teacher_temperature,
                 {.min = 1e-3, .max = 100},
                 "The teacher's in the first epoch of its warm-up.");
  visitor.integer("teacher_warmup_epochs",
                  teacher_warmup_epochs,
                  {.min = 0},
                  "Epochs in which the teacher's temperature goes from the first to the last.");
  visitor.number("centre_momentum",
                 centre_momentum,
                 {.min = 0, .max = 1},
                 "What the centre of the teacher's outputs keeps of itself at each step; 1: there "
                 "is no centring.");
}

void check_dino_options(const DinoOptions& options, std::int64_t epochs) {
  DinoOptions checked = options;
  validate_fields([&](FieldVisitor& visitor) { checked.describe(visitor); }, "[distill::dino]");
  DETENTE_CHECK(options.teacher_warmup_epochs <= epochs,
                ErrorCode::kInvalidArgument,
                "[distill::dino] option teacher_warmup_epochs must not be above the run's {} "
                "epochs, got {}; the teacher would never reach its temperature.",
                epochs,
                options.teacher_warmup_epochs);
}

}  // namespace detente::distill
