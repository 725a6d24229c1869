// SPDX-License-Identifier: Apache-2.0
// Graphs (data/graph_file.h) as a source. In the form `nodes` an example is a node of the one graph,
// and every batch carries the whole graph, the nodes of other parts with it: their features and edges
// are known in training, their labels are not (the transductive setting of Kipf & Welling 2017). In
// the others an example is a graph, and a batch is their disjoint union.
//
// Arrays of a batch of B examples with N nodes and E edges; nodes are numbered within the batch:
//
//   "feature_node", "feature"  [entries] int32, "feature_value" [entries] float: what is not 0 in the
//                              nodes' features, a matrix N × feature_count()
//   "from", "to"               [2E] int32: each edge in both directions
//   "degree"                   [N] int32: neighbours of each node
//   "asked"                    [B] int32, nodes alone: the examples among the nodes
//   "graph_of" [N], "sizes" [B] int32, graphs alone: the graph of each node, the nodes of each graph
//
// Features of a node: those of the file (nodes); the tag and the standardised attributes (graphs);
// element, charge, hydrogens, aromatic and the number of bonds of each type (molecules); with
// `data.size` also how many nodes its graph has, standardised. Tags and
// what tells atoms apart have one feature for each value in the training graphs and one for all
// others. Fitted: those values, means and deviations.
//
// With `data.neighbours` a batch has what the convolutions need for its examples alone (data/graph_batch.h):
// "edge_weight" [edges] float says how often an edge counts, edges lead one way, and "asked" are places among
// those nodes.
//
// With `data.graph` an example is a pair of nodes of that graph, a row of a table; batches have
// "asked_other" [B] int32 beside "asked".
//
// Columns for tasks and predictions: `node`, `label`, `degree`; `graph`, `label`, `nodes`, `edges`,
// `mean_degree`; `molecule`, `nodes`, `edges`, `mean_degree`. A table of further targets has a row
// for each example of the file, in its order; its columns come first.
#pragma once

#include <detente/data/graph_batch.h>
#include <detente/data/graph_file.h>
#include <detente/data/source.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::data {

class GraphSource final : public Source {
 public:
  const char* kind() const override { return "graph"; }
  void describe(FieldVisitor& data) override;
  bool own_parts() const override { return !pairs(); }
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_files() const override;
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return rows_.size(); }
  // All 1: a union of graphs has no padding, and batches of graphs of one size would teach badly
  // what depends on the size.
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  // The one graph counts once, not with every batch.
  std::string digest() const override;
  void save(const std::filesystem::path& run) const override;  // graphs.json
  void load(const std::filesystem::path& run) override;
  std::vector<ShownColumn> shown() const override;

  // Whether examples are nodes; else they are graphs.
  bool nodes() const { return fit_.form == GraphForm::kNodes; }
  // Whether examples are pairs of nodes.
  bool pairs() const { return !graph_.empty(); }
  // How far a network looks: as many edges as it has convolutions. Before reading.
  void set_hops(std::size_t hops) { hops_ = hops; }
  std::size_t feature_count() const;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  struct Field {
    std::string name;
    std::vector<std::int64_t> values;  // ascending
  };
  struct Fit {
    GraphForm form = GraphForm::kAuto;
    std::int64_t file_features = 0;  // nodes
    std::vector<Field> fields;
    std::vector<double> means;  // attributes
    std::vector<double> deviations;
    double size_mean = 0;  // nodes of a training graph
    double size_deviation = 1;
  };

  void read_examples(const SourceInput& input);
  void read_pairs(const SourceInput& input);
  void warn_of_given_links(const SourceInput& input);
  RowList chosen_rows(const SourceFiles& files, Part part) const;
  void read_targets(const SourceInput& input, const Table& own);
  void fit();
  void check_fits() const;
  void encode();
  std::size_t example_count() const;
  std::vector<std::int64_t> field_values(std::size_t field) const;  // per node of the file

  GraphForm form_ = GraphForm::kAuto;
  std::string targets_file_;
  std::string dev_targets_file_;
  std::string graph_;
  std::int64_t neighbours_ = 0;
  std::size_t hops_ = 1;
  bool scale_rows_ = false;
  bool size_ = false;

  Fit fit_;
  GraphFile file_;
  RowList rows_;  // of the file's examples, of the table of pairs
  std::vector<std::size_t> costs_;
  NodeFeatures features_;
  std::vector<std::size_t> first_;  // of pairs: the nodes
  std::vector<std::size_t> second_;
  std::optional<Table> table_;  // of rows_, for shown
};

}  // namespace detente::data
