// SPDX-License-Identifier: Apache-2.0
// Adam in two dimensions and double precision.
//
// m ← β1 m + (1 - β1) g, v ← β2 v + (1 - β2) g², x ← x - lr m̂/(√v̂ + eps) with m̂, v̂ corrected for
// their start at zero; β = (0.9, 0.999), eps = 1e-8. Kingma and Ba, ICLR 2015, arXiv 1412.6980.
#pragma once

#include <detente/toy/problems.h>

namespace detente::toy {

class Adam {
 public:
  explicit Adam(double lr) : lr_(lr) {}

  // One step against `gradient`.
  void step(Vec2& x, Vec2 gradient);

 private:
  double lr_;
  Vec2 mean_;
  Vec2 square_;
  double power1_ = 1.0;  // β1 to the number of steps
  double power2_ = 1.0;
};

}  // namespace detente::toy
