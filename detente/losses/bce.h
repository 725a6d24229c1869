// SPDX-License-Identifier: Apache-2.0
// Binary cross-entropy on logits: L = (1/n) Σ [w y_i s(−z_i) + (1 − y_i) s(z_i)], s(x) = ln(1 +
// eˣ). Targets in [0, 1] (soft labels too; anything else is kData). Gradient for w = 1: (σ(z) − y)
// / n.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

struct BceOptions {
  double positive_weight = 1.0;  // w > 0: what a positive counts against a negative

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Loss> make_bce();

}  // namespace detente::losses
