// SPDX-License-Identifier: Apache-2.0
// Multi-class cross-entropy on logits: L = −(1/n) Σ_i Σ_c q_ic ln softmax(z_i)_c with
// q = (1 − ε) one-hot(y) + ε / C. Targets are 0, 1, ..., C − 1 (anything else is kData).
// Gradient: (softmax(z) − q) / n.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

struct CrossEntropyOptions {
  double label_smoothing = 0.0;  // ε in [0, 1)

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Loss> make_cross_entropy();

}  // namespace detente::losses
