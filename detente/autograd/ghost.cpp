// SPDX-License-Identifier: Apache-2.0
// LayeredGradients where all tasks look at the same examples.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layered.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/lockstep.h>
#include <detente/autograd/passes.h>
#include <detente/tensor/narrow_product.h>

#include <algorithm>
#include <utility>

namespace detente::autograd {

// What flows into the output of one use in one task's pass.
void LayeredGradients::take_use(std::size_t task,
                                std::size_t use_index,
                                const at::Tensor& gradient,
                                std::vector<bool>& written) {
  const auto k = static_cast<std::int64_t>(task);
  const LayerUse& use = graph_.uses[use_index];
  if (EmbeddingTable* table = table_of(use); table != nullptr) {
    table->add(use_index, gradient, k);
    return;
  }
  const at::Tensor rows =
      gradient_rows(use, gradient).to(step_->shared[0].scalar_type()).contiguous();
  const auto row_of = [&](int p) {
    const at::Tensor all = block_of(p);
    return all.defined() ? all[k] : at::Tensor();
  };
  if (at::Tensor row = row_of(use.weight); row.defined()) {
    const at::Tensor x = layer_rows(use, inputs_[use_index]);
    at::Tensor target = row.view({rows.size(1), x.size(1)});
    if (written[static_cast<std::size_t>(use.weight)]) {
      target.addmm_(rows.t(), x);
    } else {
      at::mm_out(target, rows.t(), x);
    }
    written[static_cast<std::size_t>(use.weight)] = true;
  }
  at::Tensor bias = row_of(use.bias);
  const bool bias_written = bias.defined() && written[static_cast<std::size_t>(use.bias)];
  if (bias.defined()) written[static_cast<std::size_t>(use.bias)] = true;
  const auto ghost =
      std::find_if(blocks_->ghosts.begin(), blocks_->ghosts.end(), [&](const GhostLayer& layer) {
        return layer.weight == use.weight;
      });
  if (ghost != blocks_->ghosts.end()) {
    const std::size_t place = ghost->place_of(task, use_index);
    ghost->gradients[place] = rows;
    if (ghost->sketched) {
      if (bias.defined() && !bias_written) bias.zero_();
      at::Tensor sum = ghost->sketch[k];
      tensor::add_narrow_product(rows, ghost->projected[place % ghost->uses.size()], sum, bias);
      return;
    }
  }
  if (bias_written) {
    bias.add_(rows.sum(0));
  } else if (bias.defined()) {
    at::sum_out(bias, rows, {0}, /*keepdim=*/false, c10::nullopt);
  }
}

// One task's pass through one part: what was asked for, in the order captured, named.
void LayeredGradients::take_pass(std::size_t task, const PlanPart& part, const TensorList& found) {
  const auto k = static_cast<std::int64_t>(task);
  std::vector<bool> written(plan_.forms.size(), false);
  for (std::size_t c = 0; c < part.captured.size(); ++c) {
    if (found[c].defined()) take_use(task, plan_.captured[part.captured[c]], found[c], written);
  }
  for (std::size_t j = 0; j < part.named.size(); ++j) {
    const auto i = static_cast<std::size_t>(plan_.named[part.named[j]]);
    at::Tensor row = blocks_->block(i)[k];
    const at::Tensor& gradient = found[part.captured.size() + j];
    if (gradient.defined()) {
      row.view(gradient.sizes()).copy_(gradient);
    } else {
      row.zero_();
    }
  }
  for (const int p : part.blocks) {
    const auto i = static_cast<std::size_t>(p);
    if (plan_.forms[i] == Form::kDirect && !written[i]) blocks_->block(i)[k].zero_();
  }
}

// All tasks' passes through one part. `reached`: per task and parameter.
void LayeredGradients::pass_part(const PlanPart& part,
                                 bool first,
                                 bool last,
                                 Fronts& fronts,
                                 std::vector<std::vector<char>>& reached) {
  const StepTensors& step = *step_;
  const std::size_t tasks = step.losses.size();
  std::vector<Edge> wanted;
  for (const std::size_t c : part.captured) {
    wanted.push_back(graph_.uses[plan_.captured[c]].output());
  }
  for (const std::size_t j : part.named) {
    wanted.push_back(edge_of(step.shared[static_cast<std::size_t>(plan_.named[j])]));
  }
  const bool keep_graph = step.side_by_side || !(first && last);
  for_each_pass(tasks, step.side_by_side, [&](std::size_t k) {
    std::vector<Edge> all = wanted;
    // Heads lie above the first border.
    if (first) {
      for (const auto& parameter : step.own[k]) all.push_back(edge_of(parameter));
    }
    TensorList found = fronts.pass(k, part.border, std::move(all), keep_graph || k + 1 < tasks);
    const at::NoGradGuard no_grad;
    if (first) blocks_->own_gradients[k] = owned_from(found, wanted.size(), step.own[k]);
    found.resize(wanted.size());
    const auto reach = [&](int i) {
      if (i >= 0) reached[k][static_cast<std::size_t>(i)] = 1;
    };
    for (std::size_t c = 0; c < part.captured.size(); ++c) {
      if (!found[c].defined()) continue;
      const LayerUse& use = graph_.uses[plan_.captured[part.captured[c]]];
      reach(use.weight);
      reach(use.bias);
    }
    for (std::size_t j = 0; j < part.named.size(); ++j) {
      if (found[part.captured.size() + j].defined()) reach(plan_.named[part.named[j]]);
    }
    take_pass(k, part, found);
  });
}

bool LayeredGradients::form_ghost(GhostRule rule) {
  const StepTensors& step = *step_;
  blocks_->own_gradients.assign(step.own.size(), {});
  for (const LayerUse& use : graph_.uses) {
    const bool wanted = readable_by_pass(use);
    inputs_.push_back(wanted ? read_layer_input(use, step.shared) : LayerInput());
  }
  plan_ = plan_passes(step, graph_, inputs_, rule);
  if (plan_.captured.empty()) return false;
  const std::vector<PlanPart> parts = parts_of(plan_, step, graph_);
  make_blocks();
  for (GhostLayer& ghost : blocks_->ghosts) ghost.prepare(step, graph_, inputs_);

  Fronts fronts(step);
  std::vector<std::vector<char>> reached(step.losses.size());  // not of bits: threads write at once
  for (auto& one : reached) one.assign(plan_.forms.size(), 0);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    pass_part(parts[p], p == 0, p + 1 == parts.size(), fronts, reached);
    for (const int i : parts[p].blocks) blocks_->complete(static_cast<std::size_t>(i));
  }
  if (step.side_by_side || parts.size() > 1) free_graph(step.losses);
  for (const auto& one : reached) {
    for (std::size_t i = 0; i < one.size(); ++i) {
      if (one[i] != 0) blocks_->reached[i] = true;
    }
  }
  const at::NoGradGuard no_grad;
  for (GhostLayer& ghost : blocks_->ghosts) ghost.join(step, graph_, inputs_);
  blocks_->finish();
  return true;
}

}  // namespace detente::autograd
