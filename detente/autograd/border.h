// SPDX-License-Identifier: Apache-2.0
// The border of the graph behind the losses: below it lies what several losses depend on (the
// trunk), above it what one loss alone does (its head).
#pragma once

#include <detente/autograd/graph_nodes.h>

#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace detente::autograd {

// Which losses depend on each node: one (its index) or several.
class Owners {
 public:
  static constexpr int kShared = -1;

  explicit Owners(const TensorList& losses);
  const std::unordered_map<Node*, int>& all() const { return owner_; }

 private:
  void mark(Node* root, int loss);

  std::unordered_map<Node*, int> owner_;
  std::vector<std::pair<Node*, int>> stack_;
};

// An edge from one loss's head into the trunk.
struct Crossing {
  Edge edge;
  Node* from = nullptr;  // null where the loss itself is of the trunk
  int loss = -1;
};

struct Trunk {
  std::vector<Node*> nodes;  // parents before children; no parameters, nor what only carries them
  std::unordered_set<Node*> inside;
  std::vector<Crossing> crossings;
  std::vector<Edge> features;  // the edges of the crossings, each once, in an order of their own
  bool nested = false;         // some of the features are made from others
};

Trunk find_trunk(const TensorList& losses, const SharedParameters& shared, const Owners& owners);

}  // namespace detente::autograd
