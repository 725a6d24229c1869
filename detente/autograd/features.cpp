// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/features.h>
#include <detente/autograd/passes.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace detente::autograd {

bool FeatureGradients::form(const StepTensors& step, TaskBlocks& blocks, std::string& why) {
  release();
  TensorList here;
  for (std::size_t i = 0; i < step.losses.size(); ++i) {
    if (step.is_here(i)) here.push_back(step.losses[i]);
  }
  // One loss alone does not show where its way parts from that of the others.
  if (step.spread() && tensor::any(*step.group, here.size() == 1)) {
    why = "a process has examples of one task only, which does not show where the tasks part";
    return false;
  }
  if (here.empty()) return form_nothing(step, blocks);
  const Graph graph = read_graph(here, step.shared, {});
  if (graph.features.empty() || graph.heads_use_shared) {
    why = graph.features.empty()
              ? "the losses have no computed tensor in common, only parameters"
              : "a head uses a shared parameter itself, beside the shared representation";
    return false;
  }
  if (graph.features_nested) {
    why =
        "the heads look at the network at several depths (gates and experts, for example), so "
        "there is "
        "no one shared representation";
    return false;
  }
  for (const Edge& edge : graph.features) {
    if (!tensor::has_hooks(*edge.function)) continue;
    why =
        "a hook (or retain_grad) on the shared representation would see the tasks' gradients and "
        "their sum once more";
    return false;
  }
  features_ = graph.features;
  std::int64_t size = 0;
  for (const Edge& edge : features_) {
    shapes_.push_back(tensor::shape_at(*edge.function, edge.input_nr));
    size += c10::multiply_integers(shapes_.back());
  }
  const auto k = static_cast<std::int64_t>(step.losses.size());
  blocks.start(step);
  rows_ = at::empty({k, size}, step.shared[0].options().requires_grad(false));
  for (std::int64_t i = 0; i < k; ++i) {
    const auto task = static_cast<std::size_t>(i);
    if (!step.is_here(task)) {
      rows_[i].zero_();
      continue;
    }
    std::vector<Edge> wanted = features_;
    for (const auto& parameter : step.own[task]) wanted.push_back(edge_of(parameter));
    TensorList found = gradients_at({edge_of(step.losses[task])},
                                    {at::full_like(step.losses[task], step.scale)},
                                    wanted,
                                    /*keep_graph=*/true);
    const at::NoGradGuard no_grad;
    std::int64_t begin = 0;
    for (std::size_t j = 0; j < features_.size(); ++j) {
      const std::int64_t n = c10::multiply_integers(shapes_[j]);
      at::Tensor piece = rows_[i].narrow(0, begin, n);
      if (found[j].defined()) {
        piece.view(shapes_[j]).copy_(found[j]);
      } else {
        piece.zero_();
      }
      begin += n;
    }
    blocks.own_gradients[task] = owned_from(found, features_.size(), step.own[task]);
  }
  const at::NoGradGuard no_grad;
  blocks.gram = tensor::gram(rows_);
  blocks.finish();
  return true;
}

// No task has examples here; the others add what they have.
bool FeatureGradients::form_nothing(const StepTensors& step, TaskBlocks& blocks) {
  blocks.start(step);
  rows_ = at::empty({static_cast<std::int64_t>(step.losses.size()), 0},
                    step.shared[0].options().requires_grad(false));
  blocks.finish();
  return true;
}

TensorList FeatureGradients::pull_back(const StepTensors& step,
                                       const std::vector<double>& weights,
                                       const at::Tensor& combined) {
  if (features_.empty()) return TensorList(step.shared.size());
  TensorList starts;
  {
    const at::NoGradGuard no_grad;
    at::Tensor sum = combined;
    if (!sum.defined()) {
      sum = at::mv(rows_.t(), weights_like(weights, rows_));
    }
    std::int64_t begin = 0;
    for (const auto& shape : shapes_) {
      const std::int64_t n = c10::multiply_integers(shape);
      starts.push_back(sum.narrow(0, begin, n).view(shape));
      begin += n;
    }
  }
  std::vector<Edge> wanted;
  for (const auto& parameter : step.shared) wanted.push_back(edge_of(parameter));
  return owned(gradients_at(features_, starts, wanted, /*keep_graph=*/false), step.shared);
}

void FeatureGradients::release() {
  features_.clear();
  shapes_.clear();
  rows_.reset();
}

}  // namespace detente::autograd
