// SPDX-License-Identifier: Apache-2.0
// CoV weighting: a loss that still varies much, relative to its size, gets more weight.
//
// Rule: l_t = L_t/(mean of L before t), c = (standard deviation of l)/(mean of l) over all steps
// before, w_i = c_i/Σ c. Until every task present has two steps behind it, w = 1/k.
// Why the plain thing fails: fixed weights keep spending on losses that have come to rest, and
// count losses by their units.
// Limits: k = 1 -> w = 1; Σw = 1; a loss multiplied by a factor counts as before; losses that
// never vary give 1/k. All steps count alike, so the weights settle as training goes on.
// State: number of steps, mean of L, mean of l and sum of squares of l, per task; those of an
// absent task stay as they are.
// Errors: a negative loss (kNumeric, names the task). Ratios to a mean of 0 count as 1.
// Cost: O(k). Class L.
// Paper: Groenendijk, Karaoglu, Gevers and Mensink, WACV 2021, arXiv 2009.01717.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct CovOptions {
  double epsilon = 0.0;  // added to the variance of l; the authors' code has 1e-8

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_cov();

}  // namespace detente::balance
