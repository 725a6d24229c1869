// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layered.h>
#include <detente/autograd/layers.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>
#include <utility>

namespace detente::autograd {

bool LayeredGradients::form(const StepTensors& step,
                            LayeredMode mode,
                            TaskGradients& result,
                            std::string& why) {
  release();
  step_.emplace(step);
  result.start(step);
  graph_ = read_graph(step.losses, step.shared, step.rows);
  if (mode != LayeredMode::kGhost && graph_.examples.empty() && finder_.find(step, graph_)) {
    result.own_gradients = std::move(finder_.own);
    graph_ = read_graph(step.losses, step.shared, finder_.task_of_example);
  }
  if (mode != LayeredMode::kGhost) {
    segmented_ = form_segmented(result, why);
    if (segmented_) return true;
    if (mode == LayeredMode::kSegmented) {
      release();
      return false;
    }
  }
  const auto rule = mode == LayeredMode::kGhost ? GhostRule::kAlways
                    : step.in_full              ? GhostRule::kNever
                                                : GhostRule::kByCost;
  if (form_ghost(rule, result)) return true;
  why = "no shared layer can be taken by itself";
  release();
  return false;
}

void LayeredGradients::make_blocks() {
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  blocks_.resize(plan_.forms.size());
  for (std::size_t i = 0; i < plan_.forms.size(); ++i) {
    const at::Tensor& parameter = step_->shared[i];
    at::Tensor& block = blocks_[i];
    if (!plan_.has_block(i)) {
      block.reset();
    } else if (!block.defined() || block.size(0) != k || block.size(1) != parameter.numel() ||
               block.device() != parameter.device() ||
               block.scalar_type() != parameter.scalar_type()) {
      block = at::empty({k, parameter.numel()}, parameter.options().requires_grad(false));
    }
  }
  for (EmbeddingTable& table : plan_.tables) {
    table.prepare(inputs_, step_->shared[static_cast<std::size_t>(table.weight)], k);
  }
}

at::Tensor LayeredGradients::block_of(int parameter) const {
  if (parameter < 0) return {};
  const auto i = static_cast<std::size_t>(parameter);
  return plan_.forms[i] == Form::kDirect ? blocks_[i] : at::Tensor();
}

EmbeddingTable* LayeredGradients::table_of(const LayerUse& use) {
  if (use.rule->kind != LayerKind::kEmbedding) return nullptr;
  const auto found =
      std::find_if(plan_.tables.begin(), plan_.tables.end(), [&](const EmbeddingTable& table) {
        return table.weight == use.weight;
      });
  return found == plan_.tables.end() ? nullptr : &*found;
}

// What both cases have in common, after the blocks.
void LayeredGradients::finish(TaskGradients& result) {
  if (step_->in_full) return;
  for (const EmbeddingTable& table : plan_.tables) {
    result.add(*step_, table.weight, tensor::gram(table.values.flatten(1)));
  }
  if (result.estimate.rows() > 0) add_to(result.estimate, result.gram);
}

void LayeredGradients::combine(const ParameterWeights& weights,
                               at::Tensor& direction,
                               std::vector<TableGradient>* tables) {
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  const auto piece = [&](int parameter) {
    const auto i = static_cast<std::size_t>(parameter);
    return direction.narrow(0, layout.offset(i), step_->shared[i].numel());
  };
  for (std::size_t i = 0; i < plan_.forms.size(); ++i) {
    if (!blocks_[i].defined()) continue;
    at::Tensor target = piece(static_cast<int>(i));
    tensor::weighted_sum(blocks_[i], weights.of(i), target);
  }
  for (const GhostLayer& ghost : plan_.ghosts) {
    const auto w = static_cast<std::size_t>(ghost.weight);
    const at::Tensor sum = ghost.weighted(weights.of(w));
    at::Tensor target = piece(ghost.weight);
    if (sum.defined()) {
      target = target.view({sum.size(1), ghost.rows.size(1)});
      at::mm_out(target, sum.t(), ghost.rows);
    } else {
      target.zero_();
    }
    if (ghost.bias < 0) continue;
    const auto b = static_cast<std::size_t>(ghost.bias);
    const at::Tensor bias_sum = weights.same(w, b) ? sum : ghost.weighted(weights.of(b));
    at::Tensor bias = piece(ghost.bias);
    if (bias_sum.defined()) {
      at::sum_out(bias, bias_sum, {0}, /*keepdim=*/false, c10::nullopt);
    } else {
      bias.zero_();
    }
  }
  for (const EmbeddingTable& table : plan_.tables) {
    const auto w = static_cast<std::size_t>(table.weight);
    const at::Tensor& weight = step_->shared[w];
    const at::Tensor values = table.values.flatten(1);
    at::Tensor sum = at::empty({values.size(1)}, values.options());
    tensor::weighted_sum(values, weights.of(w), sum);
    sum = sum.view({table.ids.numel(), weight.size(1)});
    if (tables != nullptr) {
      tables->push_back({w, table.ids, std::move(sum)});
    } else {
      piece(table.weight).view(weight.sizes()).zero_().index_copy_(0, table.ids, sum);
    }
  }
}

void LayeredGradients::write_rows(const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  for (std::size_t i = 0; i < plan_.forms.size(); ++i) {
    if (blocks_[i].defined()) {
      rows.narrow(1, layout.offset(i), step_->shared[i].numel()).copy_(blocks_[i]);
    }
  }
  for (const EmbeddingTable& table : plan_.tables) {
    const auto w = static_cast<std::size_t>(table.weight);
    at::Tensor all = rows.narrow(1, layout.offset(w), step_->shared[w].numel());
    all.zero_();
    all.unflatten(1, step_->shared[w].sizes()).index_copy_(1, table.ids, table.values);
  }
}

void LayeredGradients::release() {
  step_.reset();
  graph_ = {};
  finder_.clear();
  inputs_.clear();
  plan_ = {};
}

}  // namespace detente::autograd
