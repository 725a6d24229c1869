// SPDX-License-Identifier: Apache-2.0
// Single-task training: one task has weight 1, all others 0.
//
// Why the plain thing fails: it need not; whether training together helps at all is measured
// against training alone.
// Limits: k = 1 -> w = 1. Where the task is absent in a step all weights are 0 and the step moves
// nothing (kDegenerate).
// Errors: a task that does not exist (kInvalidArgument).
// Cost: nothing. Class L.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct StlOptions {
  std::int64_t task = 0;  // its number, counted from 0 in the order of the tasks

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_stl();

}  // namespace detente::balance
