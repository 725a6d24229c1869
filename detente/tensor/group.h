// SPDX-License-Identifier: Apache-2.0
// The processes of a run that trains one model on parts of every batch, as the engine sees them.
// The default is this process alone, for which nothing here does anything. Every process calls the
// same functions in the same order.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

namespace detente::tensor {

class Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  virtual ~Group() = default;

  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }

  // Each number becomes its sum over the processes, the same to the bit in all of them.
  virtual void sum(std::span<double> /*numbers*/) {}
  virtual void sum(at::Tensor& /*values*/) {}

  // `rows` [K, n] with n a multiple of size(): of the processes' sum each gets its own columns,
  // `own` [K, n / size()], process after process.
  virtual void scatter_sum(const at::Tensor& rows, at::Tensor& own) { own.copy_(rows); }
  // Everybody's `own` [m], process after process, into `all` [m · size()].
  virtual void gather(const at::Tensor& own, at::Tensor& all) { all.copy_(own); }
};

}  // namespace detente::tensor
