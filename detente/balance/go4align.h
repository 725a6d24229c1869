// SPDX-License-Identifier: Apache-2.0
// GO4Align: tasks are grouped by how they are doing, and a group shares one weight.
//
// Rule: risk scores q ← q ⊙ exp(−η L)/Σ, from 1/k on; v_i = (Σ L/L_i) q_i brings the losses to one
// scale and corrects by the scores; the v are split into G groups with the least sum of squared
// distances to the group's mean, and w_i is the mean of i's group.
// Why the plain thing fails: weights that follow each task alone are noisy and drive tasks apart;
// those of a group of tasks in the same condition keep them together.
// Limits: G >= k -> w = v; G = 1 -> the mean of v for every task; equal losses all along -> w = 1;
// k = 1 -> w = 1; η = 0 -> w_i = (Σ L/L_i)/k before grouping.
// The grouping is exact (dynamic programming on the sorted v), so nothing is drawn.
// State: log q per task up to a constant; that of an absent task stays as it is, and q is
// normalised over the tasks present.
// Errors: a loss <= 0 (kNumeric, names the task).
// Cost: O(G k²). Class L.
// Paper: Shen, Wang, Xiao, van Noord and Worring, NeurIPS 2024, arXiv 2404.06486.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct Go4alignOptions {
  std::int64_t groups = 2;  // G >= 1
  double lr = 1e-4;         // η, per unit of loss

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_go4align();

}  // namespace detente::balance
