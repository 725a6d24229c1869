// SPDX-License-Identifier: Apache-2.0
// A chain of Linear layers and activations on the rows of a joint batch. LibTorch takes one layer
// after the other for the whole batch; here a few tasks at a time go through all of them, so that
// what one layer hands to the next is still in the cache when it is used for the weight's, the
// bias's and the next layer's gradient.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/graph.h>
#include <detente/autograd/layers.h>
#include <detente/simd/caches.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

namespace detente::autograd {

struct RowChain {
  // What a core's second cache holds of one layer's rows (docs/engine.md has the measurement):
  // tasks go through the chain together up to this size, and a batch below it gains nothing. Half
  // of the cache: the layer below has its rows there, too.
  static std::int64_t bytes() { return std::max(simd::caches().l2 / 2, std::int64_t{256} << 10); }

  struct Link {
    Node* node = nullptr;
    int use = -1;  // index into Graph::uses; -1: an activation

    const Edge& below() const;  // that the rows' gradient takes
  };
  std::vector<Link> links;  // from the losses down
  // Where the gradient comes in: at the first link, or at the parts of a split that leads to it and
  // to nothing else. With the number of rows of each, one after the other.
  std::vector<Edge> entries;
  std::vector<std::int64_t> entry_rows;
  Edge exit;  // where the gradient goes on below; invalid when nothing below needs it
  // Everything that the exit leads to. Nothing else leads there but to parameters.
  std::unordered_set<const Node*> below;

  bool empty() const { return links.empty(); }
};

// The chain with the most rows times weights; empty when there is none or when the whole batch is
// as fast. `by_hand`[p]: parameter p's gradients are formed by task_gradients(), all of them.
RowChain find_row_chain(const Graph& graph,
                        const std::vector<LayerInput>& inputs,
                        const std::vector<bool>& by_hand);

struct UseBlocks {
  TaskBlock weight;
  TaskBlock bias;
};
// Takes the gradients at the entries (undefined: zero) through the chain. Writes the tasks'
// gradients of its parameters to `blocks_of(use)`, called once per use in the order of the chain;
// returns the gradient at the exit (undefined when that is invalid).
at::Tensor pass_row_chain(const RowChain& chain,
                          const TensorList& gradients,
                          const Graph& graph,
                          const std::vector<LayerInput>& inputs,
                          const std::function<UseBlocks(const LayerUse&)>& blocks_of);

}  // namespace detente::autograd
