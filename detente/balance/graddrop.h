// SPDX-License-Identifier: Apache-2.0
// GradDrop: at each coordinate a coin, loaded by how much the tasks agree on the sign, decides
// whether the positive or the negative gradients pass.
//
// Rule, per coordinate: P = ½(1 + Σ_i h_i / Σ_i |h_i|), U uniform in [0, 1); the kept sign is + if
// U < P, else −; d = Σ_i (l_i + (1 − l_i) [h_i has the kept sign]) g_i, l_i the leak of task i.
// Parameters (Rows::values empty): h_i = g_i. Representation z of a batch (values given):
// h_i = Σ_samples sign(z) g_i per feature; one coin per feature, applied to all samples.
// Why the plain thing fails: opposite gradients cancel in the sum, which then rests at points that
// are good for no task; a random sign leaves them.
// Limits: k = 1 -> d = g; leak 1 -> the sum; equal signs -> the sum; every h_i zero -> 0 at that
// coordinate; scaling all gradients scales d; E[d] for k = 2 and opposite signs a > 0 > −b is
// (a² − b²)/(a + b) = a − b, the sum, with the variance of a coin.
// Weights of the result: 1 for every task (d is no weighted sum of the rows).
// Cost: O(k p) and p random numbers. Class J: depends on the coordinates. No state.
// Paper: Chen et al., NeurIPS 2020, arXiv 2010.06808, Algorithm 1.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>
#include <vector>

namespace detente::balance {

struct GraddropOptions {
  Preset preset = Preset::kPaper;
  std::vector<double> leak;  // empty: all 0; else one per task, in [0, 1]
  bool keep_norm = false;    // scale d to the norm of the sum of the rows

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_graddrop();

}  // namespace detente::balance
