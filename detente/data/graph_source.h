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
// Columns for tasks and predictions: `node`, `label`, `degree`; `graph`, `label`, `nodes`, `edges`,
// `mean_degree`; `molecule`, `nodes`, `edges`, `mean_degree`. A table of further targets has a row
// for each example of the file, in its order; its columns come first.
#pragma once

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
  bool own_parts() const override { return true; }
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_files() const override {
    return {targets_file_, dev_targets_file_};
  }
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

  RowList chosen_rows(const SourceFiles& files, Part part) const;
  void read_targets(const SourceInput& input, const Table& own);
  void fit();
  void check_fits() const;
  void encode();
  std::size_t example_count() const;
  std::vector<std::int64_t> field_values(std::size_t field) const;  // per node of the file
  void add_node(std::size_t node, std::int32_t number, Batch& batch) const;
  Batch batch_of(std::span<const std::size_t> examples) const;

  GraphForm form_ = GraphForm::kAuto;
  std::string targets_file_;
  std::string dev_targets_file_;
  bool scale_rows_ = false;
  bool size_ = false;

  Fit fit_;
  GraphFile file_;
  RowList rows_;  // of the file's examples
  std::vector<std::size_t> costs_;
  std::vector<std::size_t> first_entry_;  // nodes of the file + 1
  std::vector<std::int32_t> entries_;     // the features that are not 0
  std::vector<float> values_;
  std::optional<Table> table_;  // of rows_, for shown
};

}  // namespace detente::data
