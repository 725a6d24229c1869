// SPDX-License-Identifier: Apache-2.0
// Link prediction from a graph alone: some of its edges are kept back to be predicted, and as many pairs of
// nodes without an edge are drawn to be told from them.
#pragma once

#include <detente/data/graph_file.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace detente::data {

struct LinkShares {
  double dev = 0.05;  // of the edges
  double test = 0.1;
  std::int64_t seed = 0;
};

struct LinkFiles {
  // The graph (form nodes) with its training edges alone.
  std::string graph;
  // CSV, a row for each pair: node, other (node < other), link (1: an edge of the whole graph), same_label (1 or
  // 0; empty where either node has no label), part (train, dev, test). Of each part one half are edges.
  std::string pairs;
  std::size_t train = 0;  // edges of each part
  std::size_t dev = 0;
  std::size_t test = 0;
};

// The same for the same seed. Throws kData for a graph of another form, without edges for every part that is
// asked for, or with more edges than pairs that have none; kInvalidArgument for shares below 0 or of 1 together.
LinkFiles hold_out_links(const GraphFile& file, const LinkShares& shares);

}  // namespace detente::data
