// SPDX-License-Identifier: Apache-2.0
// Graphs: the first byte is the form, the rest the file.
#include <detente/data/graph_file.h>

#include <algorithm>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  if (size == 0) return;
  const auto form = static_cast<data::GraphForm>(data[0] % 4);
  fuzz::survive([&] {
    const data::GraphFile file =
        data::parse_graph_file(std::string(fuzz::text_of(data + 1, size - 1)), "file", form);
    fuzz::expect(file.graphs() > 0 && file.nodes() == file.first_node.back(), "nodes of graphs");
    fuzz::expect(file.nodes() <= size && file.neighbours.size() <= 2 * size, "no more than text");
    for (std::size_t graph = 0; graph < file.graphs(); ++graph) {
      const std::size_t first = file.first_node[graph];
      const std::size_t nodes = file.first_node[graph + 1] - first;
      fuzz::expect(nodes > 0, "a graph has nodes");
      for (std::size_t i = 0; i < nodes; ++i) {
        for (std::size_t j = file.first_neighbour[first + i];
             j < file.first_neighbour[first + i + 1];
             ++j) {
          const auto other = static_cast<std::size_t>(file.neighbours[j]);
          fuzz::expect(other < nodes && other != i, "a neighbour of the same graph");
          const auto begin = file.neighbours.begin() +
                             static_cast<std::ptrdiff_t>(file.first_neighbour[first + other]);
          const auto end = file.neighbours.begin() +
                           static_cast<std::ptrdiff_t>(file.first_neighbour[first + other + 1]);
          fuzz::expect(std::binary_search(begin, end, static_cast<std::int32_t>(i)),
                       "neighbours of each other");
        }
      }
    }
    for (const std::int32_t feature : file.features) {
      fuzz::expect(feature >= 0 && feature < file.feature_count, "a feature in range");
    }
  });
}
