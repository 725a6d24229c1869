// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/example_finder.h>
#include <detente/autograd/passes.h>
#include <detente/tensor/graph_compat.h>

namespace detente::autograd {

bool ExampleFinder::find(const StepTensors& step, const Graph& graph) {
  clear();
  const std::size_t tasks = step.losses.size();
  // Models are what they are: after some steps without success nothing more is tried.
  constexpr int kTries = 3;
  if (tries_ >= kTries || graph.features.empty() || graph.features_nested) return false;
  std::int64_t batch = -1;
  for (const Edge& edge : graph.features) {
    // A hook there would see the gradient that arrives and again the one that starts.
    if (tensor::has_hooks(*edge.function)) return false;
    const auto shape = tensor::shape_at(*edge.function, edge.input_nr);
    if (shape.empty() || (batch >= 0 && shape[0] != batch)) return false;
    batch = shape[0];
  }
  if (batch < static_cast<std::int64_t>(tasks)) return false;
  const TensorList starts = starts_for(step);
  at::Tensor task_of;
  TensorList sums(graph.features.size());
  std::vector<TensorList> found_own(tasks);
  for (std::size_t k = 0; k < tasks; ++k) {
    std::vector<Edge> wanted = graph.features;
    for (const auto& parameter : step.own[k]) wanted.push_back(edge_of(parameter));
    TensorList found =
        gradients_at({edge_of(step.losses[k])}, {starts[k]}, wanted, /*keep_graph=*/true);
    const at::NoGradGuard no_grad;
    at::Tensor touched;
    for (std::size_t j = 0; j < sums.size(); ++j) {
      if (!found[j].defined()) continue;
      const at::Tensor here = found[j].ne(0).reshape({batch, -1}).any(1);
      touched = touched.defined() ? touched.logical_or(here) : here;
      sums[j] = sums[j].defined() ? sums[j] + found[j] : found[j];
    }
    if (!touched.defined()) continue;
    if (!task_of.defined()) {
      task_of = at::full({batch}, -1, touched.options().dtype(at::kLong));
    }
    if (touched.logical_and(task_of >= 0).any().item<bool>()) {
      ++tries_;
      return false;
    }
    task_of.masked_fill_(touched, static_cast<std::int64_t>(k));
    found_own[k] = owned_from(found, sums.size(), step.own[k]);
  }
  if (!task_of.defined()) return false;
  tries_ = 0;
  const at::Tensor host = task_of.cpu();
  task_of_example.assign(host.data_ptr<std::int64_t>(),
                         host.data_ptr<std::int64_t>() + host.numel());
  for (std::size_t j = 0; j < sums.size(); ++j) {
    if (!sums[j].defined()) continue;
    edges.push_back(graph.features[j]);
    gradients.push_back(sums[j]);
  }
  own = std::move(found_own);
  return true;
}

void ExampleFinder::clear() {
  task_of_example.clear();
  edges.clear();
  gradients.clear();
  own.clear();
}

}  // namespace detente::autograd
