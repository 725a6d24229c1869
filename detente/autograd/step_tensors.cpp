// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/autograd/step_tensors.h>

namespace detente::autograd {

std::vector<Edge> roots_of(const TensorList& losses) {
  std::vector<Edge> roots;
  for (const auto& loss : losses) roots.push_back(edge_of(loss));
  return roots;
}

TensorList starts_for(const StepTensors& step) {
  TensorList starts;
  for (const auto& loss : step.losses) starts.push_back(at::full_like(loss, step.scale));
  return starts;
}

}  // namespace detente::autograd
