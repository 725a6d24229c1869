// SPDX-License-Identifier: Apache-2.0
// Deep mutual learning (Zhang et al., CVPR 2018, arXiv 1706.00384): peers of one architecture and other
// initial parameters learn beside each other, each from the labels and from the others' answers,
//
//   L_k = CE(z_k, y) + 1/(P - 1) sum_{l != k} KL(p_l || p_k),   p_l constant.
//
// The first peer is the run's model, trained by its method; the others sum their losses and move by
// the recipe's optimiser. `update: sequential` gives each peer the others' answers of that moment, after
// those before it have moved (the paper's algorithm); `simultaneous` takes all from before the step.
//
// Tasks: those of the recipe, which must be of classes.
#pragma once

#include <detente/train/objective.h>

#include <cstdint>

namespace detente::train {

struct MutualRecipe {
  enum class Update { kSequential, kSimultaneous };

  std::int64_t peers = 2;
  Update update = Update::kSequential;
};

class MutualObjective final : public Objective {
 public:
  const char* kind() const override { return "mutual"; }
  void describe(FieldVisitor& train) override;
  void check(const Recipe& recipe, const std::string& where) const override;
  bool takes_labels() const override { return true; }
  std::unique_ptr<LossSource> losses(const LossContext& context) const override;

 private:
  MutualRecipe options_;
};

}  // namespace detente::train
