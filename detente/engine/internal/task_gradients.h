// SPDX-License-Identifier: Apache-2.0
// The K gradients of one step, in whatever form a strategy keeps them: rows of one matrix, pieces
// of layers, or at the shared representation. All a method needs of them is their Gram matrix and,
// afterwards, one weighted sum.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/core/matrix.h>
#include <detente/tensor/flatten.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::engine::internal {

// The present tasks of a step, k of them. Views outlive the strategy's use of them.
struct StepTensors {
  const TensorList& losses;            // k scalars with their graphs
  const TensorList& shared;            // trainable shared parameters
  const std::vector<TensorList>& own;  // k lists: trainable parameters of one task
  const tensor::FlatLayout& layout;    // of `shared`
  std::span<const std::int64_t> rows;  // task of each example, or empty
};

struct TaskGradients {
  Matrix gram;                            // k×k
  std::vector<TensorList> own_gradients;  // k lists, as `own`; undefined where not reached
  std::vector<bool> reached;              // per shared parameter: some task depends on it
  std::string notice;                     // what slowed this step down, for the user; usually empty
};

}  // namespace detente::engine::internal
