// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/lockstep.h>
#include <detente/autograd/passes.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace detente::autograd {
namespace {

// Everything the losses depend on but parameters and what only brings them, each node before what
// it leads to.
std::vector<Node*> nodes_in_order(const TensorList& losses) {
  std::vector<Node*> order;
  std::unordered_set<Node*> seen;
  std::vector<Node*> stack;
  const auto visit = [&](Node* node) {
    if (seen.insert(node).second && parameter_behind(node) == nullptr) stack.push_back(node);
  };
  for (const auto& loss : losses) visit(loss.grad_fn().get());
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    order.push_back(node);
    for (const Edge& edge : node->next_edges()) {
      if (edge.is_valid()) visit(edge.function.get());
    }
  }
  // A node's topological number is larger than that of everything it leads to.
  std::sort(order.begin(), order.end(), [](const Node* a, const Node* b) {
    return a->topological_nr() != b->topological_nr() ? a->topological_nr() > b->topological_nr()
                                                      : a->sequence_nr() > b->sequence_nr();
  });
  return order;
}

}  // namespace

std::vector<Stretch> find_stretches(const TensorList& losses,
                                    const TensorList& shared,
                                    std::int64_t numbers) {
  const std::vector<Node*> order = nodes_in_order(losses);
  std::unordered_map<const Node*, int> index_of;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    index_of[edge_of(shared[i]).function.get()] = static_cast<int>(i);
  }
  // Uses of each parameter still to come. Between two uses of one weight no stretch may end: asked
  // for its gradient, LibTorch would go on through the border to the other use.
  std::unordered_map<const Node*, int> uses_of;
  for (const Node* node : order) {
    for (const Edge& edge : node->next_edges()) {
      if (!edge.is_valid()) continue;
      if (const Node* parameter = parameter_behind(edge.function.get())) ++uses_of[parameter];
    }
  }
  std::vector<Stretch> stretches(1);
  std::unordered_map<Node*, std::vector<Edge>> open;  // nodes below, with the edges into them
  std::unordered_set<const Node*> incomplete;         // parameters with uses on both sides
  std::vector<int> fresh;                             // parameters since the last place to end
  std::int64_t fresh_numbers = 0;
  std::vector<Edge> last_border;
  for (const auto& loss : losses) open[loss.grad_fn().get()].push_back(edge_of(loss));
  for (Node* node : order) {
    open.erase(node);
    for (const Edge& edge : node->next_edges()) {
      if (!edge.is_valid()) continue;
      Node* below = edge.function.get();
      if (const Node* parameter = parameter_behind(below)) {
        if (--uses_of[parameter] > 0) {
          incomplete.insert(parameter);
          continue;
        }
        incomplete.erase(parameter);
        if (const auto found = index_of.find(parameter); found != index_of.end()) {
          fresh.push_back(found->second);
          fresh_numbers += shared[static_cast<std::size_t>(found->second)].numel();
        }
      } else {
        auto& edges = open[below];
        if (std::find(edges.begin(), edges.end(), edge) == edges.end()) edges.push_back(edge);
      }
    }
    if (open.size() > 1 || !incomplete.empty()) continue;
    // A hook there would see the gradient that arrives and again the one that starts.
    if (!open.empty() && tensor::has_hooks(*open.begin()->first)) continue;
    // The graph is one node wide here. A stretch that would grow too large ends at the place
    // before.
    if (!stretches.back().parameters.empty() && !last_border.empty() &&
        stretches.back().numbers + fresh_numbers > numbers) {
      stretches.back().border = last_border;
      stretches.emplace_back();
    }
    auto& now = stretches.back();
    now.parameters.insert(now.parameters.end(), fresh.begin(), fresh.end());
    now.numbers += fresh_numbers;
    fresh.clear();
    fresh_numbers = 0;
    last_border = open.empty() ? std::vector<Edge>() : open.begin()->second;
  }
  return stretches;
}

Fronts::Fronts(const StepTensors& step) {
  for (const auto& loss : step.losses) {
    edges_.push_back({edge_of(loss)});
    gradients_.push_back({at::full_like(loss, step.scale)});
  }
}

TensorList Fronts::pass(std::size_t k,
                        const std::vector<Edge>& border,
                        std::vector<Edge> wanted,
                        bool keep_graph) {
  const std::size_t count = wanted.size();
  if (edges_[k].empty()) return TensorList(count);
  wanted.insert(wanted.end(), border.begin(), border.end());
  TensorList found = gradients_at(edges_[k], gradients_[k], wanted, keep_graph);
  edges_[k].clear();
  gradients_[k].clear();
  for (std::size_t j = 0; j < border.size(); ++j) {
    if (!found[count + j].defined()) continue;
    edges_[k].push_back(border[j]);
    gradients_[k].push_back(std::move(found[count + j]));
  }
  found.resize(count);
  return found;
}

void form_lockstep(const StepTensors& step, std::int64_t numbers, TaskBlocks& blocks) {
  const std::size_t tasks = step.losses.size();
  blocks.start(step);
  const std::vector<Stretch> stretches = find_stretches(step.losses, step.shared, numbers);

  Fronts fronts(step);
  at::Tensor memory;
  for (std::size_t s = 0; s < stretches.size(); ++s) {
    const Stretch& stretch = stretches[s];
    const auto size = static_cast<std::int64_t>(tasks) * stretch.numbers;
    if (size > 0 && (!memory.defined() || memory.numel() < size)) {
      memory = at::empty({size}, step.shared[0].options().requires_grad(false));
    }
    at::Tensor rows;
    if (size > 0) {
      rows = memory.narrow(0, 0, size).view({static_cast<std::int64_t>(tasks), stretch.numbers});
    }
    for (std::size_t k = 0; k < tasks; ++k) {
      std::vector<Edge> wanted;
      for (const int p : stretch.parameters) {
        wanted.push_back(edge_of(step.shared[static_cast<std::size_t>(p)]));
      }
      // Heads lie in the first stretch: what lies below a border serves several tasks.
      const bool with_own = s == 0;
      if (with_own) {
        for (const auto& parameter : step.own[k]) wanted.push_back(edge_of(parameter));
      }
      TensorList found = fronts.pass(k, stretch.border, std::move(wanted), /*keep_graph=*/true);
      const at::NoGradGuard no_grad;
      std::int64_t column = 0;
      for (std::size_t j = 0; j < stretch.parameters.size(); ++j) {
        const int p = stretch.parameters[j];
        at::Tensor& gradient = found[j];
        const std::int64_t n = step.shared[static_cast<std::size_t>(p)].numel();
        at::Tensor row = rows[static_cast<std::int64_t>(k)].narrow(0, column, n);
        if (gradient.defined()) {
          blocks.reached[static_cast<std::size_t>(p)] = true;
          row.copy_(gradient.reshape(-1));
        } else {
          row.zero_();
        }
        gradient.reset();
        column += n;
      }
      if (with_own) {
        blocks.own_gradients[k] = owned_from(found, stretch.parameters.size(), step.own[k]);
      }
    }
    if (!rows.defined()) continue;
    blocks.complete_and_drop(rows, stretch.parameters);
  }
  blocks.finish();
}

}  // namespace detente::autograd
