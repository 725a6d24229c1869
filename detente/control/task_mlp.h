// SPDX-License-Identifier: Apache-2.0
// The networks of actor and critics: hidden layers with ReLU over the rows of several tasks, one after the other,
// and a linear head, one for all tasks or one for each.
//
//   x_0 = [row, one-hot of its task if `task_input`],  x_l = relu(W_l x_{l-1} + b_l),  y = W x + b
//
// Xavier-uniform weights and zero biases, as the published multi-task agents have them.
#pragma once

#include <detente/control/agent_options.h>
#include <detente/nn/parameters.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::control {

// How many rows of a batch belong to each task, in the tasks' order; 0 where a task is missing.
using TaskCounts = std::vector<std::int64_t>;

class TaskMlp {
 public:
  // Adds its parameters to `parameters` under names begun with `prefix`. Throws kInvalidArgument for widths that
  // are no sizes.
  TaskMlp(const TaskMlpOptions& options,
          std::int64_t tasks,
          std::int64_t inputs,
          std::int64_t outputs,
          std::string prefix,
          nn::Parameters& parameters,
          nn::Draw& draw);

  // [N, inputs], sorted by task -> [N, outputs]. `parameters` are the constructor's or a copy of them.
  at::Tensor forward(const nn::Parameters& parameters,
                     const at::Tensor& rows,
                     const TaskCounts& counts) const;

  // Names of the parameters that all tasks share, and of task k's own.
  std::vector<std::string> shared_names() const;
  std::vector<std::string> own_names(std::int64_t task) const;

 private:
  std::string head(std::int64_t task) const;

  TaskMlpOptions options_;
  std::int64_t tasks_;
  std::string prefix_;
};

}  // namespace detente::control
