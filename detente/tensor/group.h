// SPDX-License-Identifier: Apache-2.0
// The processes of a run that trains one model on parts of every batch, as the engine sees them.
// The default is this process alone, for which nothing here does anything. Every process calls the
// same functions in the same order.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>

#include <memory>
#include <span>
#include <string>

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
  // The same, while this process goes on: `own` is there once finish() has come back. `rows` are not written
  // until then; what is returned keeps what it needs of them. Several may be under way; all processes start and finish them in one order.
  class Pending {
   public:
    Pending() = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    virtual ~Pending() = default;
    virtual void finish() {}
  };
  virtual std::unique_ptr<Pending> start_scatter_sum(const at::Tensor& rows, at::Tensor own) {
    scatter_sum(rows, own);
    return std::make_unique<Pending>();
  }
  // Everybody's `own` [m], process after process, into `all` [m · size()].
  virtual void gather(const at::Tensor& own, at::Tensor& all) { all.copy_(own); }

  // The text of the process with rank 0, in all of them.
  virtual std::string from_first(std::string text) { return text; }
  // Until all are here, however long the others compute: before the first of the calls above that
  // follows work of very different length (reading data, writing files).
  virtual void wait() {}
  // This process ends because of an error of its own, of which the others are told.
  virtual void give_up(const std::string& /*message*/) noexcept {}
};

// Each tensor becomes its sum over the processes; many small ones travel together. Dense, of any types.
void sum_all(Group& group, const TensorList& values);

// Whether some process says so.
bool any(Group& group, bool here);
// All must have given the same text: kInvalidArgument in all of them otherwise, with the ranks that
// differ from rank 0. `what` says what it is, in the plural.
void check_same(Group& group, const std::string& what, const std::string& text);

}  // namespace detente::tensor
