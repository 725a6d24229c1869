// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/sequential.h>

namespace detente::autograd {

void form_sequential(const StepTensors& step, TaskBlocks& blocks) {
  blocks.start(step);
  const at::Tensor rows = blocks.make_matrix();
  const std::size_t tasks = step.losses.size();
  std::vector<std::vector<char>> reached(tasks);  // not of bits: threads write side by side
  for_each_pass(tasks, step.side_by_side, [&](std::size_t i) {
    TensorList targets = step.shared;
    targets.insert(targets.end(), step.own[i].begin(), step.own[i].end());
    if (targets.empty()) return;
    TensorList found = weighted_gradients(
        {step.losses[i]}, {step.scale}, targets, step.side_by_side || i + 1 < tasks);
    const at::NoGradGuard no_grad;
    blocks.own_gradients[i] = owned_from(found, step.shared.size(), step.own[i]);
    found.resize(step.shared.size());
    for (const auto& gradient : found) reached[i].push_back(gradient.defined() ? 1 : 0);
    if (!step.shared.empty()) step.layout.gather(found, rows[static_cast<std::int64_t>(i)]);
  });
  if (step.side_by_side) free_graph(step.losses);
  for (const auto& one : reached) {
    for (std::size_t j = 0; j < one.size(); ++j) {
      if (one[j] != 0) blocks.reached[j] = true;
    }
  }
  blocks.complete_matrix();
  blocks.finish();
}

}  // namespace detente::autograd
