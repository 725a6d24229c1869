// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/sequential.h>

namespace detente::autograd {

void form_sequential(const StepTensors& step, TaskBlocks& blocks) {
  blocks.start(step);
  blocks.pass_per_task = true;
  // With several processes one gradient at a time is kept whole.
  const bool one_by_one = step.spread() && step.in_step && !step.in_full && !step.coordinates &&
                          !step.side_by_side && !step.shared.empty();
  const at::Tensor rows =
      one_by_one ? at::empty({1, step.layout.size()}, step.shared[0].options().requires_grad(false))
                 : blocks.make_matrix();
  const std::size_t tasks = step.losses.size();
  std::vector<std::vector<char>> reached(tasks);  // not of bits: threads write side by side
  for_each_pass(tasks, step.side_by_side, [&](std::size_t i) {
    TensorList targets = step.shared;
    targets.insert(targets.end(), step.own[i].begin(), step.own[i].end());
    if (targets.empty()) return;  // so has no process any
    TensorList found = weighted_gradients(
        {step.losses[i]}, {step.scale}, targets, step.side_by_side || i + 1 < tasks);
    const at::NoGradGuard no_grad;
    blocks.own_gradients[i] = owned_from(found, step.shared.size(), step.own[i]);
    found.resize(step.shared.size());
    for (const auto& gradient : found) reached[i].push_back(gradient.defined() ? 1 : 0);
    if (step.shared.empty()) return;
    const at::Tensor row = rows[one_by_one ? 0 : static_cast<std::int64_t>(i)];
    step.layout.gather(found, row);
    if (one_by_one) blocks.share_row(i, row);
  });
  if (step.side_by_side) free_graph(step.losses);
  for (const auto& one : reached) {
    for (std::size_t j = 0; j < one.size(); ++j) {
      if (one[j] != 0) blocks.reached[j] = true;
    }
  }
  if (!one_by_one) blocks.complete_matrix();
  blocks.finish();
}

}  // namespace detente::autograd
