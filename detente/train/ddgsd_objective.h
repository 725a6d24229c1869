// SPDX-License-Identifier: Apache-2.0
// Data-distortion guided self-distillation (DDGSD: Xu and Liu, AAAI 2019): an image is distorted twice,
// both go through one network, and beside both answers' cross-entropy the answers must agree (Kullback-
// Leibler both ways) and the features have one distribution (maximum mean discrepancy). The formulas
// are those of detente/distill/ddgsd.h.
//
// For one task of classes. Tasks: the task itself, its loss the sum of all; with `terms: tasks`
// "<task>_a", "<task>_b", "kl_ab", "kl_ba" and "mmd". Rows without a label take part in the last three.
#pragma once

#include <detente/data/augmentation.h>
#include <detente/distill/ddgsd.h>
#include <detente/train/objective.h>

namespace detente::train {

struct DdgsdRecipe {
  enum class Terms { kOne, kTasks };
  enum class Passes { kTogether, kSeparate };

  distill::DdgsdOptions loss;
  data::Augmentation distortions{.flip = true, .crop = 4};
  Terms terms = Terms::kOne;
  Passes passes = Passes::kTogether;
};

class DdgsdObjective final : public Objective {
 public:
  const char* kind() const override { return "ddgsd"; }
  void describe(FieldVisitor& train) override;
  void check(const Recipe& recipe, const std::string& where) const override;
  bool takes_labels() const override { return true; }
  std::unique_ptr<LossSource> losses(const LossContext& context) const override;

 private:
  DdgsdRecipe options_;
};

}  // namespace detente::train
