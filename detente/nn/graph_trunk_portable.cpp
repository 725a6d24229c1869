// SPDX-License-Identifier: Apache-2.0
// The graph trunks as other programs use them (Trunk::portable_views): sums over neighbours as index_add
// in place of the sparse matrix, for which other runtimes have no form.
#include <detente/data/graph_source.h>
#include <detente/nn/graph_trunk.h>
#include <torch/types.h>

#include <utility>

namespace detente::nn {
namespace {

at::Tensor whole(std::vector<std::int64_t> values) {
  return torch::tensor(std::move(values), torch::kInt64);
}

const data::GraphSource& graphs(const data::Source& fitted) {
  return dynamic_cast<const data::GraphSource&>(fitted);
}

// A path of `nodes`, whose first half is a graph of its own, and what is asked of it.
TensorList example(std::int64_t nodes, std::int64_t features, const data::GraphSource& fitted) {
  const std::int64_t half = nodes / 2;
  std::vector<std::int64_t> from;
  std::vector<std::int64_t> to;
  std::vector<std::int64_t> graph_of;
  for (std::int64_t i = 0; i < nodes; ++i) {
    graph_of.push_back(i < half ? 0 : 1);
    if (i == 0 || i == half) continue;
    from.insert(from.end(), {i - 1, i});
    to.insert(to.end(), {i, i - 1});
  }
  const at::Tensor numbers = torch::arange(nodes * features, torch::kFloat32) * 37 % 11 / 11;
  TensorList inputs = {numbers.view({nodes, features}), torch::stack({whole(from), whole(to)})};
  if (fitted.nodes()) {
    inputs.push_back(whole({nodes - 1, 0, half}));
    if (fitted.pairs()) inputs.push_back(whole({half, nodes - 1, 1}));
  } else {
    inputs.push_back(whole(graph_of));
    inputs.push_back(whole({half, nodes - half}));
  }
  return inputs;
}

}  // namespace

PortableInputs GraphTrunk::portable_inputs(const data::Source& fitted) const {
  const data::GraphSource& source = graphs(fitted);
  PortableInputs inputs;
  inputs.list.push_back(
      {"features",
       {"nodes", ""},
       "Of each node, in the columns that graphs.json names; 0 for what it has not"});
  inputs.list.push_back({"edges",
                         {"", "edges"},
                         "From and to: all edges of all nodes, each in both directions, nodes "
                         "numbered from 0"});
  if (source.nodes()) {
    inputs.list.push_back({"asked", {"batch"}, "The nodes to answer for, of pairs the first ones"});
    if (source.pairs()) {
      inputs.list.push_back({"asked_other", {"batch"}, "Of each pair the other node"});
    }
  } else {
    inputs.list.push_back({"graph_of", {"nodes"}, "Which graph each node is of, from 0"});
    inputs.list.push_back({"sizes", {"batch"}, "How many nodes each graph has"});
  }
  inputs.examples = example(5, feature_count_, source);
  inputs.others = example(12, feature_count_, source);
  return inputs;
}

TensorList GraphTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  at::Tensor x = inputs.at(0);
  const at::Tensor from = inputs.at(1).select(0, 0);
  const at::Tensor to = inputs.at(1).select(0, 1);
  const at::Tensor degrees =
      torch::zeros_like(x.select(1, 0)).index_add(0, to, torch::ones_like(to, x.scalar_type()));
  const at::Tensor own = own_weights(degrees).unsqueeze(1);
  const at::Tensor beside =
      neighbour_weights(degrees.index_select(0, to), degrees.index_select(0, from)).unsqueeze(1);
  const auto mix = [&](const at::Tensor& y) {
    return (own * y).index_add(0, to, beside * y.index_select(0, from));
  };
  for (std::size_t i = 0; i < widths_.size(); ++i) x = layer(mix(x), i);
  if (mixes_last()) x = mix(x);
  if (graphs(fitted).nodes()) {
    const at::Tensor first = x.index_select(0, inputs.at(2));
    if (!graphs(fitted).pairs()) return {first};
    return {pair_features(first, x.index_select(0, inputs.at(3)))};
  }
  const at::Tensor sizes = inputs.at(3).to(x.scalar_type()).unsqueeze(1);
  // [B, width] of zeros, whatever the number of graphs.
  const at::Tensor none = torch::zeros_like(sizes) + torch::zeros_like(x.slice(0, 0, 1));
  at::Tensor sums = none.index_add(0, inputs.at(2), x);
  if (readout_ == Readout::kMean) sums = sums / sizes;
  return {sums};
}

at::Tensor GcnTrunk::own_weights(const at::Tensor& degrees) const {
  return torch::ones_like(degrees) / (degrees + 1);
}

at::Tensor GcnTrunk::neighbour_weights(const at::Tensor& degrees, const at::Tensor& others) const {
  return ((degrees + 1) * (others + 1)).rsqrt();
}

at::Tensor GinTrunk::own_weights(const at::Tensor& degrees) const {
  return torch::zeros_like(degrees) + (1.0 + epsilon_);
}

at::Tensor GinTrunk::neighbour_weights(const at::Tensor& degrees,
                                       const at::Tensor& /*others*/) const {
  return torch::ones_like(degrees);
}

}  // namespace detente::nn
