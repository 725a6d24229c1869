// SPDX-License-Identifier: Apache-2.0
// The options of an agent and its networks; no LibTorch here, so anything can describe them.
#pragma once

#include <detente/core/fields.h>

#include <vector>

namespace detente::control {

struct TaskMlpOptions {
  enum class Heads { kOne, kPerTask };

  std::vector<double> widths = {400, 400, 400};  // whole numbers
  Heads heads = Heads::kOne;
  bool task_input = false;

  void describe(FieldVisitor& visitor);
};

// Of log σ.
struct DeviationBounds {
  double low = -20;
  double high = 2;
};

struct AgentOptions {
  // kShared: one α that all tasks pull at, kPerTask: one for each.
  enum class Temperature { kShared, kPerTask };

  TaskMlpOptions networks;
  DeviationBounds deviation;
  double discount = 0.99;
  double target_rate = 0.005;  // τ
  double lr = 3e-4;
  Temperature temperature = Temperature::kShared;
  double initial_temperature = 1;
  double entropy_per_action = -1;  // H is this times the number of actions

  void describe(FieldVisitor& visitor);
};

}  // namespace detente::control
