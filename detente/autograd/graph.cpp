// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/border.h>
#include <detente/autograd/example_slices.h>
#include <detente/autograd/graph.h>
#include <detente/autograd/layer_uses.h>
#include <detente/tensor/graph_compat.h>

#include <utility>

namespace detente::autograd {
namespace {

std::unordered_map<const Node*, Above> look_up(const TensorList& losses, const Owners& owners) {
  std::unordered_map<const Node*, Above> all;
  for (const auto& loss : losses) ++all[loss.grad_fn().get()].edges;
  for (const auto& [node, owner] : owners.all()) {
    for (const Edge& edge : node->next_edges()) {
      if (!edge.is_valid()) continue;
      Above& above = all[edge.function.get()];
      above.node = node;
      ++above.edges;
    }
  }
  return all;
}

}  // namespace

void Graph::refuse(int parameter, const Node& by) {
  const auto i = static_cast<std::size_t>(parameter);
  handled[i] = false;
  if (unhandled_by[i].empty()) unhandled_by[i] = by.name();
}

Shape BatchFree::shape() const { return tensor::shape_at(*edge.function, edge.input_nr); }

at::TensorOptions BatchFree::options() const {
  return edge.function->input_metadata(edge.input_nr).options();
}

void Graph::forget_batch_free() {
  const auto shared = static_cast<int>(handled.size() - batch_free.size());
  const auto forget = [&](int& parameter) {
    if (parameter >= shared) parameter = -1;
  };
  for (LayerUse& use : uses) {
    forget(use.weight);
    forget(use.bias);
  }
  std::erase_if(uses, [](const LayerUse& use) { return use.weight < 0 && use.bias < 0; });
  for (const BatchFree& tensor : batch_free) {
    for (const int p : tensor.parameters) refuse(p, *tensor.edge.function);
  }
  batch_free.clear();
  handled.resize(static_cast<std::size_t>(shared));
  unhandled_by.resize(static_cast<std::size_t>(shared));
}

Graph read_graph(const TensorList& losses,
                 const TensorList& shared,
                 std::span<const std::int64_t> given,
                 BatchFlow::Statistics statistics) {
  const SharedParameters parameters(shared);
  const Owners owners(losses);
  Trunk trunk = find_trunk(losses, parameters, owners);
  JointBatch batch = find_joint_batch(trunk, losses.size(), given);
  const BatchFlow flow(trunk, batch, statistics);
  Graph graph;
  graph.handled.assign(shared.size(), true);
  graph.unhandled_by.assign(shared.size(), "");
  graph.above = look_up(losses, owners);
  graph.batch_lost_at = flow.lost_at();
  read_layer_uses(trunk, parameters, flow, graph);
  // Uses above the border, by one loss alone, are not in the trunk.
  for (const auto& [node, owner] : owners.all()) {
    if (owner == Owners::kShared) continue;
    for (const Edge& edge : node->next_edges()) {
      if (!edge.is_valid()) continue;
      const Source source = parameters.behind(edge);
      if (source.parameter < 0) continue;
      graph.heads_use_shared = true;
      graph.refuse(source.parameter, *node);
    }
  }
  graph.features = std::move(trunk.features);
  graph.features_nested = trunk.nested;
  graph.examples = std::move(batch.examples);
  return graph;
}

}  // namespace detente::autograd
