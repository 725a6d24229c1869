// SPDX-License-Identifier: Apache-2.0
// Sums over the examples of each task of a joint batch, as the gradients of layers need them.
#pragma once

#include <detente/autograd/layers/layer_rule.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace detente::autograd {

// A permutation that brings the rows of each task together, for a tensor whose dimension 0 holds
// `outer` blocks of the batch with `inner` neighbours of each example; and where each task's rows
// then lie.
struct Segments {
  at::Tensor order;  // int64; undefined when the rows already lie so
  std::vector<std::int64_t> begin, end;

  // The number of rows per task when all have as many and follow one another; else 0.
  std::int64_t equal() const {
    const std::int64_t n = end.empty() ? 0 : end[0] - begin[0];
    for (std::size_t k = 0; k < end.size(); ++k) {
      if (end[k] - begin[k] != n || begin[k] != begin[0] + static_cast<std::int64_t>(k) * n) {
        return 0;
      }
    }
    return n;
  }
};
Segments segments_of(const ExampleTasks& examples, std::int64_t outer, std::int64_t inner);
at::Tensor in_order(const at::Tensor& x, const Segments& segments);

// Task k's row of the block: `values`, as many numbers, written there or added.
void write_row(const TaskBlock& to, std::int64_t k, const at::Tensor& values);
// Task k's row of the block, as a matrix of `shape`: left times right, [m, R] and [R, n].
void write_product(const TaskBlock& to,
                   std::int64_t k,
                   at::IntArrayRef shape,
                   const at::Tensor& left,
                   const at::Tensor& right);

// The sum of each task's rows.
void sum_segments(const at::Tensor& rows, const Segments& segments, const TaskBlock& to);

// Sums of `terms` [out shape] over everything but the parameter's own dimensions, per task.
void task_sums(const at::Tensor& terms,
               const Shape& at_dims,
               std::int64_t inner,
               const ExampleTasks& examples,
               const TaskBlock& to);

// One task's convolution is too small for several threads; a thread takes whole tasks instead,
// where all get as many.
void for_each_task(std::size_t tasks, bool on_host, const std::function<void(std::size_t)>& form);

// The sizes of a parameter of channels, written against the dimensions of the output.
Shape align_channels(std::int64_t channels, std::size_t dims);

// `x` [out shape] with the batch as dimension 0: [examples, rows of each, the rest]; the batch lies
// `inner` elements apart, see LayerUse.
at::Tensor by_example(const at::Tensor& x, std::int64_t inner, std::int64_t examples);
// Per example: sums of `terms` over everything but the parameter's own dimensions, [examples, n].
at::Tensor example_sums(const at::Tensor& terms,
                        const Shape& at_dims,
                        std::int64_t inner,
                        std::int64_t examples);

}  // namespace detente::autograd
