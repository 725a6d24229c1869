// SPDX-License-Identifier: Apache-2.0
#include <detente/control/agent_options.h>

namespace detente::control {

void TaskMlpOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("widths", widths, {.min = 1, .max = 1e6}, "Widths of the hidden layers.");
  visitor.choice("heads",
                 heads,
                 {{"one", Heads::kOne}, {"per_task", Heads::kPerTask}},
                 "The last layer: one for all tasks, or one for each.");
  visitor.flag("task_input",
               task_input,
               "Tell the networks the task, as a 1 at its place behind the observation.");
}

void AgentOptions::describe(FieldVisitor& visitor) {
  networks.describe(visitor);
  visitor.number(
      "discount", discount, {.min = 0, .max = 1}, "What a reward is worth one step later (gamma).");
  visitor.number("target_rate",
                 target_rate,
                 {.min = 0, .max = 1, .min_open = true},
                 "Share of the critics in each step of the target critics' running average (tau).");
  visitor.number("lr",
                 lr,
                 {.min = 0, .max = 1e3, .min_open = true},
                 "Learning rate of Adam, for all networks.");
  visitor.choice(
      "temperature",
      temperature,
      {{"shared", Temperature::kShared}, {"per_task", Temperature::kPerTask}},
      "The weight of the policy's entropy: one that all tasks pull at, or one for each.");
  visitor.number("initial_temperature",
                 initial_temperature,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "Where it begins.");
  visitor.number("entropy_per_action",
                 entropy_per_action,
                 {.min = -100, .max = 100},
                 "The entropy that the temperature steers to, per number of an action.");
  visitor.number("log_deviation_low",
                 deviation.low,
                 {.min = -50, .max = 10},
                 "The least logarithm of the policy's standard deviation.");
  visitor.number("log_deviation_high", deviation.high, {.min = -50, .max = 10}, "The largest.");
}

}  // namespace detente::control
