// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/column_shares.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>

namespace detente::autograd {

void ColumnShares::start(const StepTensors& step) {
  step_ = &step;
  clear();
  if (!step.spread()) return;
  const tensor::FlatLayout& layout = step.layout;
  const auto k = static_cast<std::int64_t>(step.losses.size());
  const std::int64_t size = step.group->size();
  const std::int64_t message = std::max(kBucket / size, kMessage);  // of all tasks
  const std::int64_t most = std::max<std::int64_t>(message / k, 64) * size;
  std::size_t first = 0;
  for (std::int64_t begin = 0; begin < layout.size(); begin += most) {
    Bucket bucket;
    bucket.begin = begin;
    bucket.columns = std::min(most, layout.size() - begin);
    while (layout.end(first) <= begin) ++first;
    bucket.first = bucket.end = first;
    while (bucket.end < layout.count() && layout.offset(bucket.end) < begin + bucket.columns) {
      ++bucket.end;
    }
    bucket.each = step.replicated ? bucket.columns : (bucket.columns + size - 1) / size;
    buckets_.push_back(std::move(bucket));
  }
}

// For the whole bucket, filled up with zeros so that it can be divided.
at::Tensor ColumnShares::room(const Bucket& bucket, std::int64_t rows) const {
  const std::int64_t whole =
      step_->replicated ? bucket.columns : bucket.each * step_->group->size();
  at::Tensor full = at::empty({rows, whole}, step_->shared[0].options().requires_grad(false));
  if (whole > bucket.columns) full.narrow(1, bucket.columns, whole - bucket.columns).zero_();
  return full;
}

void ColumnShares::make_own(Bucket& bucket) const {
  if (bucket.own.defined()) return;
  bucket.own = at::empty({static_cast<std::int64_t>(step_->losses.size()), bucket.each},
                         step_->shared[0].options().requires_grad(false));
}

void ColumnShares::exchange_bucket(const at::Tensor& full, const at::Tensor& own) {
  if (step_->replicated) {
    at::Tensor sum = full;
    step_->group->sum(sum);
    own.copy_(sum);
  } else {
    under_way_.push_back(step_->group->start_scatter_sum(full, own));
    while (under_way_.size() > kUnderWay) finish_first();
  }
}

void ColumnShares::finish_first() {
  under_way_.front()->finish();
  under_way_.pop_front();
}

void ColumnShares::settle() {
  while (!under_way_.empty()) finish_first();
}

void ColumnShares::clear() {
  under_way_.clear();  // a step that failed has some
  buckets_.clear();
}

void ColumnShares::exchange(
    const std::function<void(const Bucket&, const at::Tensor& into)>& fill) {
  const at::NoGradGuard no_grad;
  for (Bucket& bucket : buckets_) {
    make_own(bucket);
    const at::Tensor full = room(bucket, bucket.own.size(0));
    fill(bucket, full.narrow(1, 0, bucket.columns));
    exchange_bucket(full, bucket.own);
  }
}

void ColumnShares::exchange_row(std::size_t task, const at::Tensor& row) {
  const at::NoGradGuard no_grad;
  for (Bucket& bucket : buckets_) {
    make_own(bucket);
    const at::Tensor full = room(bucket, 1);
    full[0].narrow(0, 0, bucket.columns).copy_(row.narrow(0, bucket.begin, bucket.columns));
    exchange_bucket(full, bucket.own.narrow(0, static_cast<std::int64_t>(task), 1));
  }
}

// Where the columns kept here begin in the bucket.
std::int64_t ColumnShares::shift(const Bucket& bucket) const {
  return step_->replicated ? 0 : bucket.each * step_->group->rank();
}

std::vector<ColumnShares::Segment> ColumnShares::segments(
    const Bucket& bucket, const std::function<bool(std::size_t, std::size_t)>& same) const {
  std::vector<Segment> found;
  const std::int64_t begin = bucket.begin + shift(bucket);
  const std::int64_t end = std::min(begin + bucket.each, bucket.begin + bucket.columns);
  for (std::size_t i = bucket.first; i < bucket.end; ++i) {
    const std::int64_t from = std::max(begin, step_->layout.offset(i)) - begin;
    const std::int64_t to = std::min(end, step_->layout.end(i)) - begin;
    if (from >= to) continue;
    if (!found.empty() && found.back().to == from && same(found.back().parameter, i)) {
      found.back().to = to;
    } else {
      found.push_back({i, from, to});
    }
  }
  return found;
}

void ColumnShares::add_gram(const std::function<void(std::size_t, const Matrix&)>& add) const {
  const at::NoGradGuard no_grad;
  const auto groups = step_->groups;
  const auto same = [&](std::size_t a, std::size_t b) {
    return groups.empty() || groups[a] == groups[b];
  };
  for (const Bucket& bucket : buckets_) {
    if (!bucket.own.defined()) continue;  // nothing was exchanged
    for (const Segment& segment : segments(bucket, same)) {
      add(segment.parameter,
          tensor::gram(bucket.own.narrow(1, segment.from, segment.to - segment.from)));
    }
  }
}

void ColumnShares::combine(const ParameterWeights& weights, const at::Tensor& direction) const {
  const at::NoGradGuard no_grad;
  const auto same = [&](std::size_t a, std::size_t b) { return weights.same(a, b); };
  for (const Bucket& bucket : buckets_) {
    if (!bucket.own.defined()) continue;
    at::Tensor own = at::empty({bucket.each}, bucket.own.options());
    std::int64_t done = 0;
    for (const Segment& segment : segments(bucket, same)) {
      const std::int64_t size = segment.to - segment.from;
      at::Tensor target = own.narrow(0, segment.from, size);
      tensor::weighted_sum(
          bucket.own.narrow(1, segment.from, size), weights.of(segment.parameter), target);
      done = segment.to;
    }
    if (done < bucket.each) own.narrow(0, done, bucket.each - done).zero_();
    const at::Tensor target = direction.narrow(0, bucket.begin, bucket.columns);
    if (step_->replicated) {
      target.copy_(own);
      continue;
    }
    at::Tensor all = at::empty({bucket.each * step_->group->size()}, own.options());
    step_->group->gather(own, all);
    target.copy_(all.narrow(0, 0, bucket.columns));
  }
}

}  // namespace detente::autograd
