// SPDX-License-Identifier: Apache-2.0
// The K gradients of one step, in whatever form a strategy keeps them: rows of one matrix, pieces
// of layers, or at the shared representation. All a method needs of them is their Gram matrix and,
// afterwards, one weighted sum.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/graph_nodes.h>
#include <detente/core/matrix.h>
#include <detente/tensor/flatten.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::autograd {

// The present tasks of a step, k of them. Views outlive the strategy's use of them.
struct StepTensors {
  const TensorList& losses;            // k scalars with their graphs
  const TensorList& shared;            // trainable shared parameters
  const std::vector<TensorList>& own;  // k lists: trainable parameters of one task
  const tensor::FlatLayout& layout;    // of `shared`
  std::span<const std::int64_t> rows;  // task of each example, or empty
  std::span<const int> groups = {};    // group of each of `shared`; empty: none wanted
  double scale = 1.0;         // what the losses are multiplied by in the passes (see LossScaling)
  bool side_by_side = false;  // passes that do not depend on each other, on several threads
  std::int64_t sketch = 0;    // see MultiTaskOptions::gram_sketch
  bool sketch_apart = false;  // the exact Gram matrix as well, the sketch into `estimate`
  std::uint64_t seed = 0;     // of the sketch
  // Every task's whole gradient is wanted, in one matrix or by write_rows(), and no Gram matrix.
  bool in_full = false;
};

// Where the passes start, and with what.
std::vector<Edge> roots_of(const TensorList& losses);
TensorList starts_for(const StepTensors& step);

// What each task's gradient counts in the direction, for every shared parameter: one list for all,
// or one per group of parameters.
struct ParameterWeights {
  std::vector<std::vector<double>> lists;  // k numbers each
  std::span<const int> group_of = {};      // per shared parameter; empty: lists[0] for all

  // Its place in `lists`.
  std::size_t list_of(std::size_t parameter) const {
    return group_of.empty() ? 0 : static_cast<std::size_t>(group_of[parameter]);
  }
  const std::vector<double>& of(std::size_t parameter) const { return lists[list_of(parameter)]; }
  bool same(std::size_t parameter, std::size_t other) const {
    return list_of(parameter) == list_of(other);
  }
};

// sum += factor · part, of one shape.
inline void add_to(Matrix& sum, const Matrix& part, double factor = 1.0) {
  for (std::size_t i = 0; i < part.rows() * part.cols(); ++i) {
    sum.data()[i] += factor * part.data()[i];
  }
}

struct TaskGradients {
  Matrix gram;                            // k×k
  std::vector<Matrix> group_grams;        // k×k per group of parameters; they add up to `gram`
  std::vector<TensorList> own_gradients;  // k lists, as `own`; undefined where not reached
  std::vector<bool> reached;              // per shared parameter: some task depends on it
  std::string notice;                     // what slowed this step down, for the user; usually empty
  bool estimated = false;                 // `gram` comes from a sketch
  Matrix estimate;                        // with sketch_apart: what it would have been

  // Nothing formed yet: zero matrices (one per group where the step wants groups), nothing reached.
  void start(const StepTensors& step) {
    own_gradients.assign(step.own.size(), {});
    reached.assign(step.shared.size(), false);
    notice.clear();
    start_gram(step);
  }
  // The matrices alone.
  void start_gram(const StepTensors& step) {
    const std::size_t k = step.losses.size();
    gram = Matrix(k, k);
    const std::size_t count =
        step.groups.empty() ? 0 : *std::max_element(step.groups.begin(), step.groups.end()) + 1;
    group_grams.assign(count, Matrix(k, k));
    estimated = false;
    estimate = {};
  }
  // Adds what one shared parameter contributes to the Gram matrix.
  void add(const StepTensors& step, int parameter, const Matrix& part) {
    add_to(gram, part);
    add_to_group(step, static_cast<std::size_t>(parameter), part);
  }
  // To its group's matrix alone.
  void add_to_group(const StepTensors& step, std::size_t parameter, const Matrix& part) {
    if (step.groups.empty()) return;
    add_to(group_grams[static_cast<std::size_t>(step.groups[parameter])], part);
  }
};

}  // namespace detente::autograd
