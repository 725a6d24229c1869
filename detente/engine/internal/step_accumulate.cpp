// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>

#include <cmath>
#include <utility>

namespace detente::engine {

using internal::Stopwatch;
using internal::trainable;

void MultiTaskBackward::Impl::add_batch(std::span<const at::Tensor> given,
                                        std::span<const double> shares) {
  DETENTE_CHECK(options.memory == MultiTaskOptions::Memory::kFast && !at_features(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] accumulate: the gradients of the batches are kept, "
                "which memory = low and strategy features do not do. Use memory = fast and "
                "another strategy, or one batch per step.");
  DETENTE_CHECK(shares.empty() || shares.size() == tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] accumulate: expected {} shares or none, got {}.",
                tasks(),
                shares.size());
  begin(given);
  for (const std::size_t k : present) {
    DETENTE_CHECK(shares.empty() || (shares[k] > 0 && std::isfinite(shares[k])),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] accumulate: the share of task '{}' is {}; expected "
                  "a number above 0.",
                  names[k],
                  shares[k]);
  }
  Accumulated& sum = accumulated;
  if (!sum.any()) {
    sum.shares.assign(tasks(), 0.0);
    sum.losses.assign(tasks(), 0.0);
    sum.own.assign(tasks(), {});
    sum.reached.assign(shared.size(), false);
    sum.backward_ms = 0.0;
    const auto k = static_cast<std::int64_t>(tasks());
    if (shared.empty()) {
      sum.rows = at::zeros({k, 0});
    } else if (sum.rows.defined() && sum.rows.size(1) == layout.size() &&
               sum.rows.options().type_equal(shared[0].options())) {
      sum.rows.zero_();
    } else {
      sum.rows = at::zeros({k, layout.size()}, shared[0].options().requires_grad(false));
    }
  }
  DETENTE_CHECK(sum.reached.size() == shared.size() && sum.rows.size(1) == layout.size(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] accumulate: other shared parameters are trainable "
                "than for the batch before.");
  if (present.empty()) return;

  const Stopwatch watch;
  groups.clear();  // one Gram matrix, in the end
  autograd::StepTensors step = step_tensors();
  step.in_full = true;
  sum.strategy = form(step);
  const at::NoGradGuard no_grad;
  at::Tensor rows = sequential.rows();
  if (sum.strategy != Strategy::kSequential) {
    rows =
        at::empty({static_cast<std::int64_t>(present.size()), layout.size()}, sum.rows.options());
    layered.write_rows(rows);
  }
  for (std::size_t i = 0; i < present.size(); ++i) {
    const std::size_t k = present[i];
    const double share = shares.empty() ? 1.0 : shares[k];
    sum.shares[k] += share;
    sum.losses[k] += share * report.losses[k];
    sum.rows[static_cast<std::int64_t>(k)].add_(rows[static_cast<std::int64_t>(i)], share);
    TensorList& own_sum = sum.own[k];
    own_sum.resize(own[i].size());
    for (std::size_t j = 0; j < own[i].size(); ++j) {
      const at::Tensor& gradient = formed.own_gradients[i][j];
      if (!gradient.defined()) continue;
      if (own_sum[j].defined()) {
        own_sum[j].add_(gradient, share);
      } else {
        own_sum[j] = gradient * share;
      }
    }
  }
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (formed.reached[i]) sum.reached[i] = true;
  }
  sum.backward_ms += watch.milliseconds();
}

void MultiTaskBackward::Impl::finish_batches(Rng& rng) {
  Accumulated& sum = accumulated;
  DETENTE_CHECK(sum.any(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] finish: there is no batch; expected accumulate() "
                "before.");
  const std::string notice = std::move(report.notice);
  start_report();
  report.notice = notice;
  const at::NoGradGuard no_grad;
  for (std::size_t k = 0; k < tasks(); ++k) {
    if (!(sum.shares[k] > 0)) continue;
    const double part = 1.0 / sum.shares[k];
    present.push_back(k);
    report.losses[k] = part * sum.losses[k];
    own.push_back(all_own.empty() ? TensorList{} : trainable(all_own[k]));
    for (at::Tensor& gradient : sum.own[k]) {
      if (gradient.defined()) gradient.mul_(part);
    }
    formed.own_gradients.push_back(std::move(sum.own[k]));
    sum.rows[static_cast<std::int64_t>(k)].mul_(part);
  }
  report.present = present.size();
  report.strategy = sum.strategy;
  if (present.empty()) {
    tensor::clear_gradients(all_shared);
    for (const auto& list : all_own) tensor::clear_gradients(list);
    return;
  }
  if (!covers_present(given_cross)) given_cross = {};
  losses.resize(present.size());  // their graphs have gone
  formed.reached = sum.reached;
  at::Tensor rows = sum.rows;
  if (present.size() < tasks()) {
    std::vector<at::Tensor> list;
    for (const std::size_t k : present) list.push_back(sum.rows[static_cast<std::int64_t>(k)]);
    rows = at::stack(list);
  }
  sequential.adopt(rows, step_tensors(), formed);
  run_formed(Strategy::kSequential, sum.backward_ms, rng);
}

}  // namespace detente::engine
