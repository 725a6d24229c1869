// SPDX-License-Identifier: Apache-2.0
// Tasks that need no labels, to help those with few (Shi et al. 2020, after Zhai et al. 2019): each is a loss
// of its own, which balance.method weighs.
//
//   rotation  the image and its turns by 90, 180 and 270 degrees, four classes: cross-entropy over 4B images
//             (Gidaris et al. 2018). At the start about ln 4.
//   exemplar  −cos(f, f'), the mean over B images, in [−1, 1]; −1 where they agree. f: features of a second
//             draw of data.augment with a square cut out (Cutout). f': the teacher's of the first draw,
//             without a gradient. The teacher's parameters follow the model's after each step t = 1, 2, ... by
//             min(1 − 1/(t + 1), decay) (mean teacher, Tarvainen and Valpola 2017).
//
// Both look at all rows of a batch, with labels or without. The first draw is turned after it is changed: turned
// before, as in the published code, a mirrored quarter is a quarter of the mirrored image the other way round,
// with the wrong class. Batch normalisation: the teacher uses its batch's statistics, and of the passes here the
// first alone moves the running ones.
#pragma once

#include <detente/train/objective.h>

#include <cstdint>

namespace detente::train {

struct AuxiliaryRecipe {
  bool rotation = true;
  bool exemplar = true;
  double coefficient = 0.5;  // on both losses
  double decay = 0.95;       // of the teacher
  std::int64_t cutout = 16;  // side in pixels; 0: none
  bool above_zero = false;   // exemplar: 1 − cos
};

class AuxiliaryObjective final : public Objective {
 public:
  const char* kind() const override { return "auxiliary"; }
  void describe(FieldVisitor& train) override;
  void check(const Recipe& recipe, const std::string& where) const override;
  std::unique_ptr<LossSource> losses(const LossContext& context) const override;

 private:
  AuxiliaryRecipe options_;
};

}  // namespace detente::train
