// SPDX-License-Identifier: Apache-2.0
// GradVac: gradients are turned towards each other until their cosine reaches a moving target.
//
// Rule: for each task i start with v = g_i; for the other tasks j in random order let φ = cos(v,
// g_j); if φ is below the target φ̂_ij add a g_j so that it becomes φ̂_ij, a = ‖v‖ (φ̂ √(1−φ²) − φ
// √(1−φ̂²)) / (‖g_j‖ √(1−φ̂²)), and move the target: φ̂_ij ← (1−β) φ̂_ij + β φ. d is the sum of
// the k results.
// Why the plain thing fails: pcgrad only removes negative cosines; tasks that are usually aligned
// carry information in how much they are, which this keeps.
// Limits: β = 0 is pcgrad with the same order; k = 1 -> w = 1; identical rows g -> d = k g; zero
// rows change nothing; scaling all gradients leaves w unchanged.
// Random: for k >= 3 the order matters and Problem::rng is required.
// State: the targets, k×k, starting at 0. One target per pair of tasks, over all shared
// parameters; those of an absent task stay as they are.
// Cost: O(k³). Class G.
// Paper: Wang, Tsvetkov, Firat and Cao, ICLR 2021, arXiv 2010.05874.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct GradvacOptions {
  double beta = 0.01;  // β in [0, 1]: how fast the targets follow

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_gradvac();

}  // namespace detente::balance
