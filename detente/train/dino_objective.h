// SPDX-License-Identifier: Apache-2.0
// Self-distillation without labels (DINO: Caron et al., ICCV 2021, arXiv 2104.14294): views of an
// image, small ones too, must get the answer that a teacher, the running average of the model itself,
// gives to its large ones. The formulas are those of detente/distill/dino_loss.h, the views those of
// detente/data/views.h.
//
// In a step: the teacher sees the global views and the student all, one pass for each size; the loss
// takes the centre of before; then the centre moves, over the rows of all processes, and the teacher
// follows the student's new parameters. In the first epochs the head's last layer stays as it is:
// its gradient is dropped, so that nothing decays either.
//
// Tasks: "dino"; with `terms: tasks` "global_to_global" and "local_to_global", each the mean over its
// own pairs of views. The model kept and evaluated is the teacher.
//
// Collapse, one answer for all rows or answers that say nothing, is an error within 50 steps
// (detente/distill/collapse.h).
#pragma once

#include <detente/data/views.h>
#include <detente/distill/dino_head.h>
#include <detente/distill/dino_loss.h>
#include <detente/train/objective.h>

#include <cstdint>

namespace detente::train {

struct DinoRecipe {
  enum class Terms { kOne, kTasks };
  enum class Collapse { kStop, kWarn, kIgnore };

  data::MultiCropOptions crops;
  distill::DinoHeadOptions head;
  distill::DinoOptions loss;
  double momentum = 0.996;             // of the teacher, to 1 by half a cosine
  std::int64_t freeze_last_layer = 1;  // epochs
  Terms terms = Terms::kOne;
  Collapse collapse = Collapse::kStop;
};

class DinoObjective final : public Objective {
 public:
  const char* kind() const override { return "dino"; }
  void describe(FieldVisitor& train) override;
  bool needs_tasks() const override { return false; }
  void check(const Recipe& recipe, const std::string& where) const override;
  std::vector<View> views(const data::ImageShape& shape) const override;
  std::unique_ptr<LossSource> losses(const LossContext& context) const override;

 private:
  DinoRecipe options_;
};

}  // namespace detente::train
