// SPDX-License-Identifier: Apache-2.0
// Batches of graphs as plain arrays; data/graph_source.h says which.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/graph_file.h>
#include <detente/data/source.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

// What is not 0 in the features of a file's nodes, node after node.
struct NodeFeatures {
  std::vector<std::size_t> first;     // nodes + 1
  std::vector<std::int32_t> entries;  // which features
  std::vector<float> values;
};

// The union of the graphs with these numbers, "graph_of" and "sizes" among the arrays.
Batch union_of_graphs(const GraphFile& file,
                      const NodeFeatures& features,
                      std::span<const std::size_t> graphs);

// The file's one graph, its nodes numbered as there.
Batch whole_graph(const GraphFile& file, const NodeFeatures& features);

// What `hops` convolutions need for the features of some nodes (Hamilton, Ying and Leskovec, Inductive
// Representation Learning on Large Graphs, NeurIPS 2017, algorithm 2): those nodes, numbered first and in the
// order of their first mention, and whoever is within `hops` edges. Of the nodes within hops - 1 edges all
// edges that lead to them are there, or, with `draw` and more than `most` neighbours, those from `most` of
// them, drawn without putting back: each counts degree / most times ("edge_weight"), so that the sum over a
// node's neighbours is on average what it is over all. What is drawn for a node depends on `draw` and the node
// alone. "degree" is that of the whole graph.
struct Neighbourhood {
  Batch batch;
  std::vector<std::int32_t> asked;  // in the batch, the numbers of `nodes`
};
Neighbourhood neighbourhood(const GraphFile& file,
                            const NodeFeatures& features,
                            std::span<const std::size_t> nodes,
                            std::size_t hops,
                            std::size_t most,
                            const Rng* draw);

}  // namespace detente::data
