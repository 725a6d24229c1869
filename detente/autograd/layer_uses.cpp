// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/layer_uses.h>
#include <detente/autograd/layers/layer_rule.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::shape_at;

class UseReader {
 public:
  UseReader(const SharedParameters& shared, const BatchFlow& flow, Graph& graph)
      : shared_(shared), flow_(flow), graph_(graph) {}

  void read(Node& node) {
    if (flow_.batch_free(node)) return;  // what it is computed to is the use's
    const auto& edges = node.next_edges();
    const LayerRule* rule = rule_of(node);
    std::vector<Source> sources(edges.size());
    bool any = false;
    for (std::size_t j = 0; j < edges.size(); ++j) {
      if (!edges[j].is_valid()) continue;
      sources[j] = source_of(edges[j], rule != nullptr && rule->kind == LayerKind::kLinear);
      any = any || sources[j].parameter >= 0;
    }
    if (!any) return;
    LayerUse use;
    use.node = &node;
    use.rule = rule;
    use.inner = flow_.inner_at(node, 0);
    // Which edge may carry which parameter.
    int weight_edge = LayerRule::kNone;
    int bias_edge = LayerRule::kNone;
    if (use.rule != nullptr) {
      weight_edge = use.rule->weight_edge;
      bias_edge = use.rule->bias_edge;
    }
    if (weight_edge == LayerRule::kAnySide) {
      const auto is_parameter = [](const Source& source) { return source.parameter >= 0; };
      const auto first = std::find_if(sources.begin(), sources.end(), is_parameter);
      use.side = static_cast<int>(first - sources.begin());
      weight_edge = use.side;
    }
    if (weight_edge == LayerRule::kEitherSide || bias_edge == LayerRule::kEitherSide) {
      // The parameter may stand on either side; on both it is beyond the rule.
      use.side = sources[0].parameter >= 0 ? 0 : 1;
      const auto side = static_cast<std::size_t>(use.side);
      const bool both = sources[1 - side].parameter >= 0;
      if (!both && bias_edge == LayerRule::kEitherSide &&
          add_to_product(node, use.side, sources[side])) {
        return;
      }
      for (int* edge : {&weight_edge, &bias_edge}) {
        if (*edge == LayerRule::kEitherSide) *edge = both ? LayerRule::kNone : use.side;
      }
    }
    const auto take = [&](int edge, int& parameter) {
      if (edge < 0) return;
      const auto e = static_cast<std::size_t>(edge);
      if (e < sources.size()) parameter = sources[e].parameter;
    };
    take(weight_edge, use.weight);
    take(bias_edge, use.bias);
    if (const auto added = added_bias_.find(&node); added != added_bias_.end()) {
      use.bias = added->second;
    }
    const bool linear = use.rule != nullptr && use.rule->kind == LayerKind::kLinear;
    if (linear && use.weight >= 0) {
      use.weight_is_out_in = sources[static_cast<std::size_t>(weight_edge)].transpositions % 2 == 1;
    }
    for (std::size_t j = 0; j < sources.size(); ++j) {
      const int parameter = sources[j].parameter;
      if (parameter < 0) continue;
      const bool is_weight = static_cast<int>(j) == weight_edge;
      const bool is_bias = static_cast<int>(j) == bias_edge;
      const bool turned = sources[j].transpositions > 0 && !(linear && is_weight);
      if (!(is_weight || is_bias) || turned || cannot_apply(use, node, is_bias)) {
        graph_.refuse(parameter, node);
        if (use.weight == parameter) use.weight = -1;
        if (use.bias == parameter) use.bias = -1;
      }
    }
    if (use.weight >= 0 || use.bias >= 0) graph_.uses.push_back(use);
  }

 private:
  Source source_of(const Edge& edge, bool transposable) {
    Source source = shared_.behind(edge);
    if (source.parameter >= 0 || !flow_.batch_free(edge)) return source;
    if (!transposable) source = {.end = edge};
    source.parameter = batch_free(source.end);
    return source;
  }

  // Its number as a parameter, -1 where it is computed from no shared one.
  int batch_free(const Edge& edge) {
    const auto [entry, is_new] = batch_free_.try_emplace(edge, -1);
    if (!is_new) return entry->second;
    BatchFree tensor{.edge = edge, .parameters = parameters_below(edge)};
    if (tensor.parameters.empty()) return -1;
    entry->second = static_cast<int>(graph_.handled.size());
    graph_.batch_free.push_back(std::move(tensor));
    graph_.handled.push_back(true);
    graph_.unhandled_by.emplace_back();
    return entry->second;
  }

  std::vector<int> parameters_below(const Edge& edge) const {
    std::set<int> found;
    std::unordered_set<const Node*> seen;
    std::vector<Edge> stack{edge};
    while (!stack.empty()) {
      const Edge next = stack.back();
      stack.pop_back();
      if (!next.is_valid() || !seen.insert(next.function.get()).second) continue;
      if (const int p = shared_.behind(next).parameter; p >= 0) {
        found.insert(p);
        continue;
      }
      const auto& below = next.function->next_edges();
      stack.insert(stack.end(), below.begin(), below.end());
    }
    return {found.begin(), found.end()};
  }

  Shape shape_of(int parameter) const {
    const std::size_t shared = graph_.handled.size() - graph_.batch_free.size();
    const auto i = static_cast<std::size_t>(parameter);
    if (i < shared) return shared_[parameter].sizes().vec();
    return graph_.batch_free[i - shared].shape();
  }

  // LibTorch 2 computes a Linear layer of inputs of three or more dimensions as a product of
  // matrices, a view and a sum with the bias. Where nothing else uses or watches what lies between,
  // the gradient at the product is that at the sum, and the bias belongs to the product's rows.
  bool add_to_product(Node& sum, int side, const Source& bias) {
    const Edge& rows = sum.next_edge(1 - static_cast<std::size_t>(side));
    if (static_cast<const gen::AddBackward0&>(sum).alpha.toDouble() != 1.0 || !rows.is_valid() ||
        bias.parameter < 0 || bias.transpositions > 0) {
      return false;
    }
    Node* product = product_below(*rows.function);
    if (product == nullptr) return false;
    const Shape parameter = shape_of(bias.parameter);
    const Shape out = shape_at(*product, 0);
    const Shape shape = shape_at(sum, 0);
    if (out.size() != 2 || parameter.size() != 1 || parameter[0] != out[1] || shape.empty() ||
        shape.back() != out[1] || shape != shape_at(*rows.function, rows.input_nr)) {
      return false;
    }
    added_bias_[product] = bias.parameter;
    return true;
  }

  // The product with a parameter that `top` is, or views.
  Node* product_below(Node& top) const {
    for (Node* node = &top;; node = node->next_edge(0).function.get()) {
      if (graph_.above.at(node).edges != 1 || tensor::has_hooks(*node)) return nullptr;
      const std::string name = node->name();
      if (name == "MmBackward0") {
        const Edge& weight = node->next_edge(1);
        const bool used = weight.is_valid() &&
                          (shared_.behind(weight).parameter >= 0 || flow_.batch_free(weight));
        return used ? node : nullptr;
      }
      const bool views = name == "UnsafeViewBackward0" || name == "ViewBackward0";
      if (!views || !node->next_edge(0).is_valid()) return nullptr;
    }
  }

  // What the rules cannot do.
  bool cannot_apply(const LayerUse& use, const Node& node, bool is_bias) const {
    if (use.rule->kind == LayerKind::kLinear && is_bias && use.bias >= 0) {
      return shape_of(use.bias).size() != 1;  // addmm also adds whole matrices
    }
    return shape_at(node, 0).empty();
  }

  const SharedParameters& shared_;
  const BatchFlow& flow_;
  Graph& graph_;
  std::unordered_map<const Node*, int> added_bias_;  // by product; read after the sum above it
  std::unordered_map<Edge, int> batch_free_;         // see batch_free()
};

}  // namespace

void read_layer_uses(const Trunk& trunk,
                     const SharedParameters& shared,
                     const BatchFlow& flow,
                     Graph& graph) {
  UseReader reader(shared, flow, graph);
  for (Node* node : trunk.nodes) reader.read(*node);
}

}  // namespace detente::autograd
