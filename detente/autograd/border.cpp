// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/border.h>

#include <algorithm>

namespace detente::autograd {

Owners::Owners(const TensorList& losses) {
  for (std::size_t k = 0; k < losses.size(); ++k) {
    mark(losses[k].grad_fn().get(), static_cast<int>(k));
  }
}

void Owners::mark(Node* root, int loss) {
  stack_.assign(1, {root, loss});
  while (!stack_.empty()) {
    const auto [node, owner] = stack_.back();
    stack_.pop_back();
    const auto [entry, is_new] = owner_.try_emplace(node, owner);
    if (!is_new) {
      if (entry->second == owner || entry->second == kShared) continue;
      entry->second = kShared;
    }
    for (const Edge& edge : node->next_edges()) {
      if (edge.is_valid()) stack_.emplace_back(edge.function.get(), entry->second);
    }
  }
}

Trunk find_trunk(const TensorList& losses, const SharedParameters& shared, const Owners& owners) {
  Trunk trunk;
  for (const auto& [node, owner] : owners.all()) {
    if (owner != Owners::kShared || is_leaf(*node) || shared.carried_by(*node)) continue;
    trunk.nodes.push_back(node);
  }
  // A node's topological number is larger than that of everything below it.
  std::sort(trunk.nodes.begin(), trunk.nodes.end(), [](const Node* a, const Node* b) {
    if (a->topological_nr() != b->topological_nr()) {
      return a->topological_nr() > b->topological_nr();
    }
    return a->sequence_nr() > b->sequence_nr();
  });
  trunk.inside.insert(trunk.nodes.begin(), trunk.nodes.end());
  std::unordered_set<Edge> seen;
  const auto add = [&](const Edge& edge, Node* from, int loss) {
    trunk.crossings.push_back({edge, from, loss});
    if (seen.insert(edge).second) trunk.features.push_back(edge);
  };
  for (const auto& [node, owner] : owners.all()) {
    if (owner == Owners::kShared) continue;
    for (const Edge& edge : node->next_edges()) {
      if (edge.is_valid() && trunk.inside.count(edge.function.get()) != 0) add(edge, node, owner);
    }
  }
  for (std::size_t k = 0; k < losses.size(); ++k) {
    if (trunk.inside.count(losses[k].grad_fn().get()) != 0) {
      add(edge_of(losses[k]), nullptr, static_cast<int>(k));
    }
  }
  // Every node of the trunk lies below some feature.
  for (const Node* node : trunk.nodes) {
    for (const Edge& edge : node->next_edges()) {
      trunk.nested = trunk.nested || (edge.is_valid() && seen.count(edge) != 0);
    }
  }
  // The map has no order of its own; results must not depend on addresses.
  std::sort(trunk.features.begin(), trunk.features.end(), [](const Edge& a, const Edge& b) {
    const auto x = std::make_pair(a.function->sequence_nr(), a.input_nr);
    const auto y = std::make_pair(b.function->sequence_nr(), b.input_nr);
    return x < y;
  });
  return trunk;
}

}  // namespace detente::autograd
