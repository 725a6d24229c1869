// SPDX-License-Identifier: Apache-2.0
// LayeredGradients where every task has its own examples.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layered.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/layers/segments.h>
#include <detente/autograd/passes.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace detente::autograd {
namespace {

// The numbers of LayerUse::weight and bias as tensors: of batch-free ones the shape and type count
// alone, as of parameters.
TensorList with_batch_free(const TensorList& shared, const Graph& graph) {
  TensorList all = shared;
  for (const BatchFree& tensor : graph.batch_free) {
    all.push_back(at::zeros({}, tensor.options()).expand(tensor.shape()));
  }
  return all;
}

}  // namespace

// Whether the pass of the summed losses must leave the graph whole.
bool LayeredGradients::needs_graph_after() const {
  return !plan_.named.empty() || !graph_.batch_free.empty() ||
         std::any_of(graph_.uses.begin(), graph_.uses.end(), [](const LayerUse& use) {
           return use.rule->kind == LayerKind::kOther;
         });
}

// One pass of the summed losses. The output gradients of plan_.captured, undefined for what a chain
// has formed already; and the tasks' own gradients where the heads have not been passed before.
TensorList LayeredGradients::pass_segments(
    const std::function<UseBlocks(const LayerUse&)>& blocks_of) {
  const StepTensors& step = *step_;
  std::vector<bool> by_hand;
  for (const Form form : plan_.forms) by_hand.push_back(form == Form::kDirect);
  const RowChain chain = find_row_chain(graph_, inputs_, by_hand);
  std::vector<bool> in_chain(graph_.uses.size(), false);
  for (const RowChain::Link& link : chain.links) {
    if (link.use >= 0) in_chain[static_cast<std::size_t>(link.use)] = true;
  }

  TensorList captured(plan_.captured.size());
  std::vector<Edge> above, below;
  std::vector<std::size_t> places_above, places_below;  // in plan_.captured
  for (std::size_t c = 0; c < plan_.captured.size(); ++c) {
    const LayerUse& use = graph_.uses[plan_.captured[c]];
    if (in_chain[plan_.captured[c]]) continue;
    const bool lower = chain.below.contains(use.node);
    (lower ? below : above).push_back(use.output());
    (lower ? places_below : places_above).push_back(c);
  }
  const bool heads_passed = !finder_.edges.empty();
  const std::size_t layers = above.size();
  for (const auto& list : step.own) {
    if (heads_passed) break;
    for (const auto& parameter : list) above.push_back(edge_of(parameter));
  }
  above.insert(above.end(), chain.entries.begin(), chain.entries.end());
  const bool more = needs_graph_after();
  const bool keep_graph = more || !chain.empty();
  TensorList found = heads_passed
                         ? gradients_at(finder_.edges, finder_.gradients, above, keep_graph)
                         : gradients_at(roots_of(step.losses), starts_for(step), above, keep_graph);
  for (std::size_t j = 0; j < layers; ++j) captured[places_above[j]] = std::move(found[j]);
  std::size_t next = layers;
  for (std::size_t k = 0; k < step.own.size() && !heads_passed; ++k) {
    blocks_->own_gradients[k] = owned_from(found, next, step.own[k]);
    next += step.own[k].size();
  }
  if (chain.empty()) return captured;

  found.erase(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(next));
  const bool any = std::any_of(
      found.begin(), found.end(), [](const at::Tensor& entering) { return entering.defined(); });
  if (any) {
    const at::Tensor leaving = pass_row_chain(chain, found, graph_, inputs_, blocks_of);
    if (leaving.defined() && !below.empty()) {
      found = gradients_at({chain.exit}, {leaving}, below, keep_graph);
      for (std::size_t j = 0; j < below.size(); ++j) {
        captured[places_below[j]] = std::move(found[j]);
      }
    }
  }
  if (!more) free_graph(step.losses);
  return captured;
}

// The parameters asked for by their names need a pass per task.
void LayeredGradients::pass_named() {
  const StepTensors& step = *step_;
  std::vector<Edge> rest;
  for (const int p : plan_.named) rest.push_back(edge_of(step.shared[static_cast<std::size_t>(p)]));
  const TensorList starts = starts_for(step);
  for (std::size_t k = 0; k < step.losses.size(); ++k) {
    const TensorList pieces =
        gradients_at({edge_of(step.losses[k])}, {starts[k]}, rest, k + 1 < step.losses.size());
    const at::NoGradGuard no_grad;
    for (std::size_t j = 0; j < plan_.named.size(); ++j) {
      const auto i = static_cast<std::size_t>(plan_.named[j]);
      at::Tensor row = blocks_->block(i)[static_cast<std::int64_t>(k)];
      if (pieces[j].defined()) {
        row.copy_(pieces[j].reshape(-1));
        blocks_->reached[i] = true;
      } else {
        row.zero_();
      }
    }
  }
}

// From what is the same for all examples down to the parameters it is computed from: a pass per task,
// through that part of the graph alone.
void LayeredGradients::pass_batch_free(std::vector<bool>& written) {
  const StepTensors& step = *step_;
  std::vector<Edge> roots;
  std::vector<std::size_t> tensors;
  std::set<std::size_t> parameters;
  for (std::size_t t = 0; t < batch_free_.size(); ++t) {
    // Where no task came to it, nothing has been written.
    if (!batch_free_[t].defined() || !written[step.shared.size() + t]) continue;
    roots.push_back(graph_.batch_free[t].edge);
    tensors.push_back(t);
    for (const int p : graph_.batch_free[t].parameters) {
      const auto i = static_cast<std::size_t>(p);
      if (plan_.forms[i] == Form::kDirect) parameters.insert(i);
    }
  }
  if (roots.empty()) return;
  std::vector<Edge> wanted;
  for (const std::size_t i : parameters) wanted.push_back(edge_of(step.shared[i]));
  std::vector<bool> fresh;  // nothing of the parameter is written yet
  for (const std::size_t i : parameters) fresh.push_back(!written[i]);
  for (std::size_t k = 0; k < step.losses.size(); ++k) {
    TensorList starts;
    for (std::size_t r = 0; r < roots.size(); ++r) {
      const std::size_t t = tensors[r];
      starts.push_back(
          batch_free_[t][static_cast<std::int64_t>(k)].view(graph_.batch_free[t].shape()));
    }
    const TensorList found = gradients_at(roots, starts, wanted, k + 1 < step.losses.size());
    const at::NoGradGuard no_grad;
    std::size_t j = 0;
    for (const std::size_t i : parameters) {
      const TaskBlock to{.rows = blocks_->block(i), .add = !fresh[j]};
      if (found[j].defined()) {
        write_row(to, static_cast<std::int64_t>(k), found[j]);
        blocks_->reached[i] = true;
      } else if (fresh[j]) {
        to.rows[static_cast<std::int64_t>(k)].zero_();
      }
      written[i] = true;
      ++j;
    }
  }
}

// False where one pass cannot tell the tasks apart; `why` says so.
bool LayeredGradients::plan_segmented(std::string& why) {
  const StepTensors& step = *step_;
  if (graph_.examples.empty()) {
    why = "the tasks' losses do not come from separate rows of one batch";
    return false;
  }
  plan_ = plan_segments(step, graph_);
  std::int64_t named = 0;
  std::string by;  // what stands in the way of the first of them
  for (const int p : plan_.named) {
    const auto i = static_cast<std::size_t>(p);
    named += step.shared[i].numel();
    if (by.empty())
      by = graph_.unhandled_by[i].empty() ? graph_.batch_lost_at : graph_.unhandled_by[i];
    if (by.empty()) by = "an operation that mixes examples";
  }
  if (graph_.uses.empty() || 2 * named > step.layout.size()) {
    why = "most shared parameters lie below an operation that segments cannot follow" +
          (by.empty() ? std::string() : " (" + by + ")");
    return false;
  }
  if (!plan_.named.empty()) {
    blocks_->notice = fmt::format(
        "{} of {} shared parameters, {:.2g} % of their numbers, need a pass per task from the "
        "losses down to them: the tasks' examples cannot be told apart at {}.",
        plan_.named.size(),
        step.shared.size(),
        100.0 * static_cast<double>(named) / static_cast<double>(step.layout.size()),
        by);
  }
  return true;
}

void LayeredGradients::pass_segmented() {
  const StepTensors& step = *step_;
  const TensorList parameters = with_batch_free(step.shared, graph_);
  for (const LayerUse& use : graph_.uses) inputs_.push_back(read_layer_input(use, parameters));
  make_blocks();

  std::vector<bool> written(plan_.forms.size(), false);
  const auto blocks_of = [&](const LayerUse& use) {
    const auto to = [&](int p) {
      if (p >= 0 && static_cast<std::size_t>(p) < step.shared.size()) {
        blocks_->reached[static_cast<std::size_t>(p)] = true;
      }
      TaskBlock rows{.rows = block_of(p)};
      if (!rows.rows.defined()) return rows;
      rows.add = written[static_cast<std::size_t>(p)];
      written[static_cast<std::size_t>(p)] = true;
      return rows;
    };
    const TaskBlock weight = to(use.weight);
    return UseBlocks{weight, to(use.bias)};
  };
  TensorList found = pass_segments(blocks_of);
  if (!plan_.named.empty()) pass_named();

  const at::NoGradGuard no_grad;
  for (std::size_t c = 0; c < plan_.captured.size(); ++c) {
    if (!found[c].defined()) continue;
    const std::size_t u = plan_.captured[c];
    const LayerUse& use = graph_.uses[u];
    const UseBlocks rows = blocks_of(use);
    if (EmbeddingTable* table = table_of(use); table != nullptr) {
      table->add(u, found[c], graph_.examples, use.inner);
    } else {
      task_gradients(use, inputs_[u], found[c], graph_.examples, rows.weight, rows.bias);
    }
    found[c].reset();
  }
  pass_batch_free(written);
  if (needs_graph_after()) free_graph(step.losses);
  for (std::size_t i = 0; i < step.shared.size(); ++i) {
    if (plan_.forms[i] == Form::kDirect && !written[i]) block_of(static_cast<int>(i)).zero_();
  }
  for (std::size_t i = 0; i < step.shared.size(); ++i) {
    if (plan_.has_block(i)) blocks_->complete(i);
  }
  blocks_->finish();
}

}  // namespace detente::autograd
