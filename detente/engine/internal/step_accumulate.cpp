// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>

#include <cmath>
#include <utility>

namespace detente::engine {

using internal::trainable;

void MultiTaskBackward::Impl::start_sum() {
  Accumulated& sum = accumulated;
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

// A batch of its own: other processes are met in the end.
void MultiTaskBackward::Impl::add_batch(const StepInput& given) {
  DETENTE_CHECK(options.memory == MultiTaskOptions::Memory::kFast && !at_features(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] accumulate: the gradients of the batches are kept, "
                "which memory = low and strategy features do not do. Use memory = fast and "
                "another strategy, or one batch per step.");
  const std::shared_ptr<tensor::Group> all = group;
  struct Restore {
    Impl& impl;
    const std::shared_ptr<tensor::Group>& group;
    ~Restore() { impl.group = group; }
  } const restore{*this, all};
  group = std::make_shared<tensor::Group>();
  begin(given);
  Accumulated& sum = accumulated;
  if (!sum.any()) start_sum();
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
  at::Tensor rows = formed.matrix();
  if (!rows.defined()) {
    rows =
        at::empty({static_cast<std::int64_t>(present.size()), layout.size()}, sum.rows.options());
    formed.write_to(rows);
  }
  for (std::size_t i = 0; i < present.size(); ++i) {
    const std::size_t k = present[i];
    const double share = input.shares.empty() ? 1.0 : input.shares[k];
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
  input = next;
  start_report();
  report.notice = notice;
  const at::NoGradGuard no_grad;
  std::vector<double> means(tasks(), kNan);
  for (std::size_t k = 0; k < tasks(); ++k) {
    if (sum.shares[k] > 0) means[k] = (1.0 / sum.shares[k]) * sum.losses[k];
  }
  internal::Agreement all = internal::agree(*group, means, sum.shares, way());
  present = std::move(all.present);
  report.losses = std::move(all.losses);
  parts = std::move(all.parts);
  std::vector<TensorList> own_sums;
  for (const std::size_t k : present) {
    own.push_back(all_own.empty() ? TensorList{} : trainable(all_own[k]));
    own_sums.push_back(std::move(sum.own[k]));
    own_sums.back().resize(own.back().size());
    if (!(sum.shares[k] > 0)) continue;  // another process has the task
    const double part = parts[k] / sum.shares[k];
    for (at::Tensor& gradient : own_sums.back()) {
      if (gradient.defined()) gradient.mul_(part);
    }
    sum.rows[static_cast<std::int64_t>(k)].mul_(part);
  }
  report.present = present.size();
  report.strategy = sum.strategy;
  if (present.empty()) {
    clear_all();
    return;
  }
  std::vector<double> values;
  for (const std::size_t k : present) values.push_back(report.losses[k]);
  solver.begin(present, std::move(values));
  if (!covers_present(input.independent.cross)) input.independent = {};
  losses.resize(present.size());  // their graphs have gone
  at::Tensor rows = sum.rows;
  if (present.size() < tasks()) {
    std::vector<at::Tensor> list;
    for (const std::size_t k : present) list.push_back(sum.rows[static_cast<std::int64_t>(k)]);
    rows = at::stack(list);
  }
  formed.start(step_tensors());
  formed.own_gradients = std::move(own_sums);
  formed.reached = sum.reached;
  formed.use_matrix(rows);
  formed.complete_matrix();
  formed.finish();
  run_formed(Strategy::kSequential, sum.backward_ms, rng);
}

}  // namespace detente::engine
