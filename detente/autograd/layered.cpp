// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/autograd/layered.h>

#include <algorithm>
#include <utility>

namespace detente::autograd {

bool LayeredGradients::form(const StepTensors& step,
                            LayeredMode mode,
                            TaskBlocks& blocks,
                            std::string& why) {
  release();
  struct Release {
    LayeredGradients& layered;
    ~Release() { layered.release(); }
  } const at_the_end{*this};
  step_.emplace(step);
  blocks_ = &blocks;
  blocks.start(step);
  return try_modes(mode, why);
}

bool LayeredGradients::try_modes(LayeredMode mode, std::string& why) {
  const StepTensors& step = *step_;
  graph_ = read_graph(step.losses, step.shared, step.examples);
  if (mode != LayeredMode::kGhost && graph_.examples.empty() && finder_.find(step, graph_)) {
    blocks_->own_gradients = std::move(finder_.own);
    graph_ = read_graph(step.losses, step.shared, finder_.task_of_example);
  }
  segmented_ = mode != LayeredMode::kGhost && plan_segmented(why);
  if (segmented_) {
    pass_segmented();
    return true;
  }
  plan_ = {};
  if (mode == LayeredMode::kSegmented) return false;
  if (step.spread()) {
    // What others add must be added to gradients, not to what stands for them.
    if (why.empty()) why = "several processes add up whole gradients";
    return false;
  }
  graph_.forget_batch_free();
  const auto rule = step.in_full && mode != LayeredMode::kGhost ? GhostRule::kNever
                    : mode == LayeredMode::kGhost               ? GhostRule::kAlways
                                                                : GhostRule::kByCost;
  if (form_ghost(rule)) return true;
  why = "no shared layer can be taken by itself";
  return false;
}

void LayeredGradients::make_blocks() {
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  for (std::size_t i = 0; i < step_->shared.size(); ++i) {
    if (plan_.has_block(i)) {
      blocks_->make(i);
    } else {
      blocks_->drop(i);
    }
  }
  for (std::size_t t = 0; t < graph_.batch_free.size(); ++t) {
    if (!plan_.has_block(step_->shared.size() + t)) {
      batch_free_.emplace_back();
      continue;
    }
    const BatchFree& tensor = graph_.batch_free[t];
    batch_free_.push_back(at::empty({k, numel(tensor.shape())}, tensor.options()));
  }
  blocks_->ghosts = std::move(plan_.ghosts);
  blocks_->tables = std::move(plan_.tables);
  for (EmbeddingTable& table : blocks_->tables) {
    table.prepare(inputs_, step_->shared[static_cast<std::size_t>(table.weight)], k);
  }
}

at::Tensor LayeredGradients::block_of(int parameter) const {
  if (parameter < 0) return {};
  const auto i = static_cast<std::size_t>(parameter);
  if (i >= step_->shared.size()) return batch_free_[i - step_->shared.size()];
  return plan_.forms[i] == Form::kDirect ? blocks_->block(i) : at::Tensor();
}

EmbeddingTable* LayeredGradients::table_of(const LayerUse& use) {
  if (use.rule->kind != LayerKind::kEmbedding) return nullptr;
  auto& tables = blocks_->tables;
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const EmbeddingTable& table) {
    return table.weight == use.weight;
  });
  return found == tables.end() ? nullptr : &*found;
}

void LayeredGradients::release() {
  step_.reset();
  graph_ = {};
  finder_.clear();
  inputs_.clear();
  batch_free_.clear();
  plan_ = {};
  blocks_ = nullptr;
}

}  // namespace detente::autograd
