// SPDX-License-Identifier: Apache-2.0
// Focal loss on logits: cross-entropy that counts well-classified rows less.
//
// With s = z for y = 1 and −z for y = 0, p_t = σ(s): L = (1/n) Σ α_t (1 − p_t)^γ (−ln p_t), where
// α_t is α for positives and 1 − α for negatives. γ = 0, α = ½: half the binary cross-entropy.
// Targets are 0 or 1 (anything else is kData). Computed as exp(−γ softplus(s)) softplus(−s), which
// has finite gradients for every logit.
// Paper: Lin et al., ICCV 2017, arXiv 1708.02002.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

struct FocalOptions {
  double gamma = 2.0;   // >= 0
  double alpha = 0.25;  // in [0, 1]

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Loss> make_focal();

}  // namespace detente::losses
