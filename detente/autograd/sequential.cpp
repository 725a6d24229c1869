// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/sequential.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>

namespace detente::autograd {

void SequentialGradients::form(const StepTensors& step, TaskGradients& result) {
  const auto k = static_cast<std::int64_t>(step.losses.size());
  const std::int64_t p = step.layout.size();
  result.start(step);
  if (step.shared.empty()) {
    rows_ = at::zeros({k, 0});
  } else {
    const auto options = step.shared[0].options().requires_grad(false);
    if (!jacobian_.defined() || jacobian_.size(0) < k || jacobian_.size(1) != p ||
        jacobian_.device() != options.device() ||
        jacobian_.scalar_type() != step.shared[0].scalar_type()) {
      jacobian_ = at::empty({k, p}, options);
    }
    rows_ = jacobian_.narrow(0, 0, k);
  }
  const std::size_t tasks = step.losses.size();
  std::vector<std::vector<char>> reached(tasks);  // not of bits: threads write side by side
  for_each_pass(tasks, step.side_by_side, [&](std::size_t i) {
    TensorList targets = step.shared;
    targets.insert(targets.end(), step.own[i].begin(), step.own[i].end());
    if (targets.empty()) return;
    TensorList found = weighted_gradients(
        {step.losses[i]}, {step.scale}, targets, step.side_by_side || i + 1 < tasks);
    const at::NoGradGuard no_grad;
    result.own_gradients[i] = owned_from(found, step.shared.size(), step.own[i]);
    found.resize(step.shared.size());
    for (const auto& gradient : found) reached[i].push_back(gradient.defined() ? 1 : 0);
    if (!step.shared.empty()) step.layout.gather(found, rows_[static_cast<std::int64_t>(i)]);
  });
  if (step.side_by_side) free_graph(step.losses);
  for (const auto& one : reached) {
    for (std::size_t j = 0; j < one.size(); ++j) {
      if (one[j] != 0) result.reached[j] = true;
    }
  }
  if (!step.in_full) adopt(rows_, step, result);
}

void SequentialGradients::adopt(const at::Tensor& rows,
                                const StepTensors& step,
                                TaskGradients& result) {
  const at::NoGradGuard no_grad;
  rows_ = rows;
  result.start_gram(step);
  result.gram = tensor::gram(rows_);
  // Neighbours of one group in one product.
  for (std::size_t first = 0; first < step.groups.size();) {
    std::size_t end = first + 1;
    while (end < step.groups.size() && step.groups[end] == step.groups[first]) ++end;
    const std::int64_t begin = step.layout.offset(first);
    result.add_to_group(
        step, first, tensor::gram(rows_.narrow(1, begin, step.layout.end(end - 1) - begin)));
    first = end;
  }
}

void SequentialGradients::combine(const ParameterWeights& weights,
                                  const tensor::FlatLayout& layout,
                                  at::Tensor& direction) const {
  const at::NoGradGuard no_grad;
  for (std::size_t first = 0; first < layout.count();) {
    std::size_t end = first + 1;
    while (end < layout.count() && weights.same(first, end)) ++end;
    const std::int64_t begin = layout.offset(first);
    const std::int64_t size = layout.end(end - 1) - begin;
    at::Tensor piece = direction.narrow(0, begin, size);
    const at::Tensor rows = rows_.narrow(1, begin, size);
    const std::vector<double>& w = weights.of(first);
    if (w.size() == 1 && w[0] == 1.0) {
      piece.copy_(rows[0]);
    } else {
      tensor::weighted_sum(rows, w, piece);
    }
    first = end;
  }
}

}  // namespace detente::autograd
