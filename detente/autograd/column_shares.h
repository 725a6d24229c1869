// SPDX-License-Identifier: Apache-2.0
// What one of several processes keeps of the K gradients: of their sum over the processes its own columns, in
// buckets of so many neighbouring columns, each divided evenly among the processes. With (K + 1) P numbers sent by
// all but one of the processes instead of 2 K P, the Gram matrix is the sum of the processes' parts.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/step_tensors.h>
#include <detente/core/matrix.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace detente::autograd {

class ColumnShares {
 public:
  // Numbers of all tasks together in a bucket, but for the last: large enough that a collective is worth its
  // start, small beside the gradients of the models that need several processes.
  static constexpr std::int64_t kBucket = 1 << 20;
  // ... and at least so many for each process, for among many it is the number of messages that takes time.
  static constexpr std::int64_t kMessage = 1 << 16;
  // Buckets that may be on their way while the next gradients are computed.
  static constexpr std::size_t kUnderWay = 4;

  struct Bucket {
    std::int64_t begin = 0;  // its first column of all
    std::int64_t columns = 0;
    std::size_t first = 0;  // the parameters [first, end) have some of them
    std::size_t end = 0;
    std::int64_t each = 0;  // columns kept here; with those that fill up, columns ≤ each · size
    at::Tensor own;         // [K, each]; undefined before anything was exchanged
  };

  // Nothing kept yet. The step outlives the use.
  void start(const StepTensors& step);
  void clear();

  // `fill` writes the bucket's columns of all tasks, [K, columns]; bucket after bucket.
  void exchange(const std::function<void(const Bucket&, const at::Tensor& into)>& fill);
  // One task's whole gradient [P], for those that are formed one after the other.
  void exchange_row(std::size_t task, const at::Tensor& row);

  // Waits for what is on its way; before the next two.
  void settle();
  // Calls add(parameter, part of the Gram matrix) for the columns kept here.
  void add_gram(const std::function<void(std::size_t, const Matrix&)>& add) const;
  // d = Σ_k w_k ∇L_k, all of it in every process, into `direction` [P].
  void combine(const ParameterWeights& weights, const at::Tensor& direction) const;

 private:
  // Neighbouring columns of one kind: `from` to `to` of what is kept here, of parameters that begin
  // with `parameter`.
  struct Segment {
    std::size_t parameter;
    std::int64_t from;
    std::int64_t to;
  };
  std::vector<Segment> segments(const Bucket& bucket,
                                const std::function<bool(std::size_t, std::size_t)>& same) const;
  std::int64_t shift(const Bucket& bucket) const;
  void exchange_bucket(const at::Tensor& full, const at::Tensor& own);
  void make_own(Bucket& bucket) const;
  void finish_first();
  at::Tensor room(const Bucket& bucket, std::int64_t rows) const;

  const StepTensors* step_ = nullptr;
  std::vector<Bucket> buckets_;
  std::deque<std::unique_ptr<tensor::Group::Pending>> under_way_;
};

}  // namespace detente::autograd
