// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/engine/internal/sequential.h>
#include <detente/tensor/gram.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace detente::engine::internal {

TensorList weighted_gradients(const TensorList& losses,
                              const std::vector<double>& factors,
                              const TensorList& parameters,
                              bool keep_graph) {
  TensorList starts;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    starts.push_back(at::full_like(losses[i], factors[i]));
  }
  return torch::autograd::grad(losses,
                               parameters,
                               starts,
                               keep_graph,
                               /*create_graph=*/false,
                               /*allow_unused=*/true);
}

at::Tensor owned(const at::Tensor& gradient, const at::Tensor& parameter) {
  if (!gradient.defined()) return gradient;
  const bool alone = gradient.use_count() == 1 && gradient.storage().use_count() == 1;
  if (alone && gradient.is_contiguous() && !gradient.requires_grad()) return gradient;
  return gradient.detach().clone(at::MemoryFormat::Contiguous).view(parameter.sizes());
}

void SequentialGradients::form(const StepTensors& step, TaskGradients& result) {
  const auto k = static_cast<std::int64_t>(step.losses.size());
  const std::int64_t p = step.layout.size();
  result.reached.assign(step.shared.size(), false);
  result.own_gradients.assign(step.own.size(), {});
  result.notice.clear();
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
  for (std::size_t i = 0; i < step.losses.size(); ++i) {
    TensorList targets = step.shared;
    targets.insert(targets.end(), step.own[i].begin(), step.own[i].end());
    if (targets.empty()) continue;
    TensorList found =
        weighted_gradients({step.losses[i]}, {1.0}, targets, i + 1 < step.losses.size());
    const at::NoGradGuard no_grad;
    for (std::size_t j = 0; j < step.own[i].size(); ++j) {
      result.own_gradients[i].push_back(owned(found[step.shared.size() + j], step.own[i][j]));
      found[step.shared.size() + j].reset();
    }
    found.resize(step.shared.size());
    for (std::size_t j = 0; j < step.shared.size(); ++j) {
      if (found[j].defined()) result.reached[j] = true;
    }
    if (!step.shared.empty()) step.layout.gather(found, rows_[static_cast<std::int64_t>(i)]);
  }
  const at::NoGradGuard no_grad;
  result.gram = tensor::gram(rows_);
  result.start_groups(step);
  // Neighbours of one group in one product.
  for (std::size_t first = 0; first < step.groups.size();) {
    std::size_t end = first + 1;
    while (end < step.groups.size() && step.groups[end] == step.groups[first]) ++end;
    const std::int64_t begin = step.layout.offset(first);
    const std::int64_t size = (end < step.groups.size() ? step.layout.offset(end) : p) - begin;
    result.add_to_group(step, first, tensor::gram(rows_.narrow(1, begin, size)));
    first = end;
  }
}

void SequentialGradients::combine(const std::vector<double>& weights, at::Tensor& direction) const {
  const at::NoGradGuard no_grad;
  if (weights.size() == 1 && weights[0] == 1.0) {
    direction.copy_(rows_[0]);
    return;
  }
  at::Tensor w = at::empty({static_cast<std::int64_t>(weights.size())}, at::kDouble);
  std::copy(weights.begin(), weights.end(), w.data_ptr<double>());
  at::mv_out(direction, rows_.t(), w.to(rows_.options()));
}

}  // namespace detente::engine::internal
