// SPDX-License-Identifier: Apache-2.0
// Equal weighting (linear scalarisation): every loss counts the same.
//
// Weights: w_i = 1 (scale = sum) or 1/k (scale = mean). Not an optimisation problem.
// Why the plain thing can fail: the task with the largest gradient decides the direction, and a
// task whose gradient points against it gets worse.
// Cost: O(k). Class L.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct EwOptions {
  enum class Scale { kSum, kMean };
  Scale scale = Scale::kMean;

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_ew();

}  // namespace detente::balance
