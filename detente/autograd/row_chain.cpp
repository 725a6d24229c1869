// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <detente/autograd/activations.h>
#include <detente/autograd/row_chain.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

// Threads take whole tasks; shares this unequal are slower than all threads on each layer.
constexpr double kChainBalance = 0.8;

// A Linear layer with bias is one node with three arguments: bias, rows, weight.
bool has_addend(const Node& node) { return node.name() == "AddmmBackward0"; }

class Finder {
 public:
  Finder(const Graph& graph,
         const std::vector<LayerInput>& inputs,
         const std::vector<bool>& by_hand)
      : graph_(graph), inputs_(inputs), by_hand_(by_hand) {
    for (std::size_t u = 0; u < graph.uses.size(); ++u) {
      use_of_[graph.uses[u].node] = static_cast<int>(u);
    }
  }

  RowChain find() {
    RowChain best;
    double most = 0;
    for (const LayerUse& use : graph_.uses) {
      if (use.rule->kind != LayerKind::kLinear || in_chain_.contains(use.node)) continue;
      RowChain chain = through(*use.node);
      if (chain.links.size() < 2 || !pays(chain) || !find_below(chain)) continue;
      const double size = arithmetic(chain);
      if (size > most) {
        most = size;
        best = std::move(chain);
      }
    }
    if (!best.empty()) find_entries(best);
    return best;
  }

 private:
  // The longest chain with `node`, which is left out of further ones.
  RowChain through(Node& node) {
    RowChain chain;
    RowChain::Link link;
    if (!able(node, link)) return chain;
    const std::int64_t rows = shape_at(node, 0)[0];
    RowChain::Link top = link;
    for (;;) {
      const Above& above = graph_.above.at(top.node);
      if (above.edges != 1 || above.node == nullptr) break;
      RowChain::Link next;
      if (!able(*above.node, next) || shape_at(*next.node, 0)[0] != rows ||
          next.below().function.get() != top.node) {
        break;
      }
      top = next;
    }
    for (;;) {
      chain.links.push_back(top);
      in_chain_.insert(top.node);
      const Edge& edge = top.below();
      if (!edge.is_valid()) break;
      RowChain::Link next;
      if (graph_.above.at(edge.function.get()).edges != 1 || !able(*edge.function, next) ||
          shape_at(*next.node, 0)[0] != rows) {
        break;
      }
      top = next;
    }
    chain.exit = chain.links.back().below();
    return chain;
  }

  // False when there is a way around the chain.
  bool find_below(RowChain& chain) const {
    if (!chain.exit.is_valid()) return true;
    std::unordered_map<const Node*, int> edges;  // into each node, from the chain or below
    std::vector<const Node*> stack = {chain.exit.function.get()};
    edges[stack[0]] = 1;
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      chain.below.insert(node);
      for (const Edge& edge : node->next_edges()) {
        if (edge.is_valid() && ++edges[edge.function.get()] == 1) {
          stack.push_back(edge.function.get());
        }
      }
    }
    return std::all_of(edges.begin(), edges.end(), [&](const auto& entry) {
      return entry.second == graph_.above.at(entry.first).edges || parameter_behind(entry.first);
    });
  }

  // Split into parts along the rows, heads need not have their gradients joined again.
  void find_entries(RowChain& chain) const {
    Node& first = *chain.links.front().node;
    const Above& above = graph_.above.at(&first);
    if (above.edges == 1 && above.node != nullptr && splits_rows(*above.node)) {
      for (std::uint32_t i = 0; i < above.node->num_inputs(); ++i) {
        chain.entries.emplace_back(tensor::owner_of(*above.node), i);
        chain.entry_rows.push_back(shape_at(*above.node, i)[0]);
      }
    } else {
      chain.entries.emplace_back(tensor::owner_of(first), 0);
      chain.entry_rows.push_back(shape_at(first, 0)[0]);
    }
  }

  static bool splits_rows(Node& node) {
    std::int64_t dim = -1;
    if (const auto* split = dynamic_cast<const gen::SplitBackward0*>(&node)) dim = split->dim;
    if (const auto* split = dynamic_cast<const gen::SplitWithSizesBackward0*>(&node)) {
      dim = split->dim;
    }
    return (dim == 0 || dim == -2) && !tensor::has_hooks(node);
  }

  bool able(Node& node, RowChain::Link& link) const {
    if (tensor::has_hooks(node) || shape_at(node, 0).size() != 2) return false;
    link.node = &node;
    if (const auto found = use_of_.find(&node); found != use_of_.end()) {
      link.use = found->second;
      return able(graph_.uses[static_cast<std::size_t>(link.use)]);
    }
    return activation_of(node) != nullptr;
  }

  bool able(const LayerUse& use) const {
    const LayerInput& layer = inputs_[static_cast<std::size_t>(&use - graph_.uses.data())];
    if (use.rule->kind != LayerKind::kLinear || use.inner == 0) return false;
    if (layer.input.defined() && layer.input.dim() != 2) return false;
    const std::size_t first = has_addend(*use.node) ? 1 : 0;
    const bool bias_edge = first == 1 && use.node->next_edge(0).is_valid();
    const bool weight_edge = use.node->next_edge(first + 1).is_valid();
    if (bias_edge != (use.bias >= 0) || weight_edge != (use.weight >= 0)) return false;
    for (const int p : {use.weight, use.bias}) {
      if (p >= 0 && !by_hand_[static_cast<std::size_t>(p)]) return false;
    }
    // Every row of one example, and the examples one after the other.
    const auto shape = shape_at(*use.node, 0);
    return shape[0] * shape[1] == use.inner * graph_.examples.size();
  }

  bool pays(const RowChain& chain) const {
    const ExampleTasks& rows = graph_.examples;
    const at::Tensor* input = nullptr;
    std::int64_t width = 0;
    for (const RowChain::Link& link : chain.links) {
      width = std::max(width, shape_at(*link.node, 0)[1]);
      if (link.use < 0) continue;
      const at::Tensor& x = inputs_[static_cast<std::size_t>(link.use)].input;
      if (!x.defined()) continue;  // only the bias is trained
      if (input != nullptr && x.scalar_type() != input->scalar_type()) return false;
      input = &x;
    }
    if (!rows.contiguous || input == nullptr || !input->is_cpu()) return false;
    const auto type = input->scalar_type();
    if (type != at::kFloat && type != at::kDouble) return false;
    const std::int64_t bytes =
        width * input->element_size() * (input->size(0) / rows.size());  // of one example
    const auto tasks = static_cast<std::int64_t>(rows.begin.size());
    const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
    const std::int64_t each = (tasks + threads - 1) / threads;
    std::int64_t all = 0;
    std::int64_t largest = 0;  // share of a thread
    for (std::int64_t k = 0; k < tasks; k += each) {
      std::int64_t share = 0;
      for (std::int64_t j = k; j < std::min(tasks, k + each); ++j) {
        const auto i = static_cast<std::size_t>(j);
        if ((rows.end[i] - rows.begin[i]) * bytes > RowChain::bytes()) return false;
        share += rows.end[i] - rows.begin[i];
      }
      all += share;
      largest = std::max(largest, share);
    }
    return all * bytes > RowChain::bytes() &&
           static_cast<double>(all) >= kChainBalance * static_cast<double>(threads * largest);
  }

  double arithmetic(const RowChain& chain) const {
    double sum = 0;
    for (const RowChain::Link& link : chain.links) {
      if (link.use < 0) continue;
      const at::Tensor& x = inputs_[static_cast<std::size_t>(link.use)].input;
      if (!x.defined()) continue;
      sum += static_cast<double>(x.numel()) * static_cast<double>(shape_at(*link.node, 0)[1]);
    }
    return sum;
  }

  const Graph& graph_;
  const std::vector<LayerInput>& inputs_;
  const std::vector<bool>& by_hand_;
  std::unordered_map<const Node*, int> use_of_;
  std::unordered_set<const Node*> in_chain_;
};

}  // namespace

const Edge& RowChain::Link::below() const {
  return node->next_edge(use >= 0 && has_addend(*node) ? 1 : 0);
}

RowChain find_row_chain(const Graph& graph,
                        const std::vector<LayerInput>& inputs,
                        const std::vector<bool>& by_hand) {
  const bool any = std::any_of(graph.uses.begin(), graph.uses.end(), [](const LayerUse& use) {
    return use.rule->kind == LayerKind::kLinear;
  });
  return any ? Finder(graph, inputs, by_hand).find() : RowChain();
}

}  // namespace detente::autograd
