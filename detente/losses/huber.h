// SPDX-License-Identifier: Apache-2.0
// Huber loss: squared error near the target, absolute error far from it.
//
// Per row, e = p − y: ½ e² where |e| <= δ, δ (|e| − ½ δ) beyond; mean over the rows. The gradient
// is e clipped to [−δ, δ], so no single row dominates. δ → ∞: half the mean squared error.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

struct HuberOptions {
  double delta = 1.0;  // > 0, in units of the target

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Loss> make_huber();

}  // namespace detente::losses
