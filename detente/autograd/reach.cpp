// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/autograd/graph_nodes.h>
#include <detente/autograd/reach.h>
#include <detente/core/error.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>

#include <string>
#include <unordered_map>
#include <unordered_set>

namespace detente::autograd {
namespace {

// DistributedDataParallel (unused parameters looked for, or a static graph) hands all outputs of a
// model through one node, gradient by gradient: past it, where this one came from.
const Edge& past_sink(const Edge& edge) {
  const Node* node = edge.function.get();
  if (node == nullptr || node->num_inputs() < 2 || node->num_inputs() != node->num_outputs() ||
      node->name() != "_DDPSinkBackward") {
    return edge;
  }
  return past_sink(node->next_edge(edge.input_nr));
}

}  // namespace

Reach parameters_behind(std::span<const at::Tensor> losses) {
  Reach reach;
  reach.by_loss.resize(losses.size());
  std::unordered_map<const Node*, std::size_t> place;
  for (std::size_t k = 0; k < losses.size(); ++k) {
    if (!losses[k].defined()) continue;
    DETENTE_CHECK(
        losses[k].requires_grad(),
        ErrorCode::kInvalidArgument,
        "[autograd::reach] loss {} of {} has no graph: it does not depend on a parameter, or "
        "was computed without gradients (no_grad, detach, .item()).",
        k + 1,
        losses.size());
    std::unordered_set<const Node*> seen;
    // Kept alive: the node that accumulates into a leaf is made when it is asked for.
    const Edge start = edge_of(losses[k]);
    std::vector<const Node*> stack{past_sink(start).function.get()};
    seen.insert(stack.front());
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      if (const auto* leaf = dynamic_cast<const torch::autograd::AccumulateGrad*>(node)) {
        const auto [found, added] = place.try_emplace(node, reach.parameters.size());
        if (added) reach.parameters.push_back(leaf->variable);
        auto& mine = reach.by_loss[k];
        if (mine.size() <= found->second) mine.resize(found->second + 1, false);
        mine[found->second] = true;
        continue;
      }
      if (!reach.compiled) {
        reach.compiled = node->name().find("CompiledFunction") != std::string::npos;
      }
      // The last first, so that the first input's side is visited first.
      for (auto edge = node->next_edges().rbegin(); edge != node->next_edges().rend(); ++edge) {
        const Node* next = past_sink(*edge).function.get();
        if (next != nullptr && seen.insert(next).second) stack.push_back(next);
      }
    }
  }
  for (auto& row : reach.by_loss) row.resize(reach.parameters.size(), false);
  return reach;
}

}  // namespace detente::autograd
