// SPDX-License-Identifier: Apache-2.0
// Graphs from a text file, gzip or not, whole in memory. Four forms; fields are separated by blanks:
//
//   nodes       one graph, its nodes are the examples. First line `nodes features classes edges`; a
//               line per node `label split k f1 ... fk` (label −1: none; split 0 train, 1 validation,
//               2 test, 3 none of them; the k features that are 1); a line per edge `u v`
//   graphs      many graphs. First line how many; for each a line `nodes class`, then a line per node
//               `tag degree neighbour... attribute...`, as many attributes on every line of the file
//   molecules   a line per molecule `id atoms bonds`, an `element:charge:hydrogens:aromatic` for each
//               atom, an `i-j-type` for each bond (type 1, 2, 3, 4 = aromatic)
//   edges       one graph, a line per edge `u v` (or `u,v`), in one direction or both, lines that begin with # or
//               % aside. It is read as the form nodes: each node has itself as its one feature and no label
//
// Nodes are numbered from 0 within their graph. Edges have no direction, are given once (in the
// second form once at either end, in the last as often as one likes) and lead from a node to another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::data {

enum class GraphForm { kAuto, kNodes, kGraphs, kMolecules, kEdges };
const char* name_of(GraphForm form);  // "auto", "nodes", "graphs", "molecules", "edges"

struct Atom {
  std::int32_t element = 0;  // atomic number, 0..118; 0: unknown
  std::int32_t charge = 0;
  std::int32_t hydrogens = 0;
  bool aromatic = false;
};

inline constexpr std::size_t kBondTypes = 4;

// All nodes in one list, graph after graph. What a form does not have stays empty.
struct GraphFile {
  std::string source;
  GraphForm form = GraphForm::kAuto;

  std::vector<std::size_t> first_node;       // graphs + 1
  std::vector<std::size_t> first_neighbour;  // nodes + 1
  std::vector<std::int32_t> neighbours;      // numbers within the graph, ascending for each node
  // The line of each example: a node (form nodes), a graph.
  std::vector<std::size_t> lines;

  std::int64_t feature_count = 0;  // nodes
  std::int64_t classes = 0;
  std::vector<std::size_t> first_feature;  // nodes + 1
  std::vector<std::int32_t> features;      // ascending for each node
  std::vector<std::int32_t> splits;        // per node

  std::vector<std::int64_t> labels;  // nodes: per node, −1 none; graphs: per graph

  std::vector<std::int64_t> tags;  // graphs: per node
  std::size_t attribute_count = 0;
  std::vector<double> attributes;  // nodes × attribute_count, finite

  std::vector<std::string> names;        // molecules: per graph
  std::vector<Atom> atoms;               // per node
  std::vector<std::uint8_t> bond_types;  // per entry of neighbours, 1..4

  std::size_t graphs() const { return first_node.size() - 1; }
  std::size_t nodes() const { return first_neighbour.size() - 1; }
  std::size_t degree(std::size_t node) const {
    return first_neighbour[node + 1] - first_neighbour[node];
  }
  // Nodes: whether two are joined by an edge.
  bool linked(std::size_t node, std::size_t other) const;
};

// kAuto: by the first line, four whole numbers are `nodes`, two or a comment `edges`, one is `graphs`, all else
// `molecules`.
// Throws kIo (missing, unreadable) or kData with file and line: nothing in it, a count that does not
// fit what follows, a node, feature, class or type out of its range, a loop, an edge given twice or
// at one end alone, a graph without nodes, text that is not UTF-8. Memory follows the size of the
// text, whatever its counts promise.
GraphFile read_graph_file(const std::filesystem::path& path, GraphForm form = GraphForm::kAuto);
// The same from memory; `source` stands for the file in messages.
GraphFile parse_graph_file(const std::string& content,
                           const std::string& source,
                           GraphForm form = GraphForm::kAuto);

}  // namespace detente::data
