// SPDX-License-Identifier: Apache-2.0
// Soft optimal uncertainty weighting: the weights uncertainty weighting would end at, through a
// softmax.
//
// Rule: w = softmax((1/L)/T). 1/L_i is (twice) the weight of uncertainty weighting at its optimum;
// the softmax with temperature T bounds it.
// Why the plain thing fails: uw needs many steps to reach its weights and lets a solved task take
// over; this has no state and sums to 1.
// Limits: T -> ∞ gives 1/k; T -> 0 puts all weight on the smallest loss; k = 1 -> w = 1. Not
// invariant to the scale of a loss.
// Errors: a loss <= 0 (kNumeric, names the task).
// Cost: O(k). Class L.
// Paper: Kirchdorfer, Elich, Kutsche, Stuckenschmidt, Schott and Köhler, 2024, arXiv 2408.07985.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct UwSoOptions {
  double temperature = 1.0;  // T > 0; the paper tunes it per problem

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_uw_so();

}  // namespace detente::balance
