// SPDX-License-Identifier: Apache-2.0
// Fixed weights chosen by the user: w_i = weights_i. With one weight set to 1 and the rest to 0 it
// is training of a single task.
// Why the plain thing can fail: good weights depend on the losses' scales and change during
// training.
// Limits: an empty list gives w = 1 for every task.
// Cost: nothing. Class L.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct ConstantOptions {
  std::vector<double> weights;  // one per task, any finite number >= 0; empty = all 1

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_constant();

}  // namespace detente::balance
