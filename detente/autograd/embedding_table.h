// SPDX-License-Identifier: Apache-2.0
// The tasks' gradients of a table of embeddings: of the entries that the batch touches and nothing
// else.
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/layers/layer_rule.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::autograd {

// Which entry of the table every row of the output's gradient belongs to, flattened to [R]; padding
// entries, whose gradient is dropped, get -1.
at::Tensor embedding_ids(const LayerInput& layer);

// Adds each row of `gradient` to its task's `values` [K, V, d], at its place in `entries` [R] (-1: dropped).
// `inner`: see LayerUse.
void add_task_rows(const at::Tensor& values,
                   const at::Tensor& gradient,
                   const at::Tensor& entries,
                   const ExampleTasks& examples,
                   std::int64_t inner);

struct EmbeddingTable {
  int weight = -1;
  std::vector<std::size_t> uses;
  at::Tensor ids;     // [U] entries that were touched
  TensorList places;  // per use, [R]: position in ids, -1 padding
  at::Tensor values;  // [K, U, d]

  // Finds the entries; values are zero.
  void prepare(const std::vector<LayerInput>& inputs, const at::Tensor& table, std::int64_t tasks);
  // Adds what flows into the output of one of the uses. The whole gradient is `task`'s, or each row
  // that of its example's task.
  void add(std::size_t use, const at::Tensor& gradient, std::int64_t task);
  void add(std::size_t use,
           const at::Tensor& gradient,
           const ExampleTasks& examples,
           std::int64_t inner);
  // The whole gradients, zeros where nothing was touched, into `all` [K, entries, d].
  void write_to(const at::Tensor& all) const;

 private:
  at::Tensor places_of(std::size_t use) const;
};

}  // namespace detente::autograd
