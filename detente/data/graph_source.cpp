// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/manifest.h>
#include <detente/core/moments.h>
#include <detente/core/whole_number.h>
#include <detente/data/graph_batch.h>
#include <detente/data/graph_source.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kGraphFormat = "detente-graphs-1";
constexpr const char* kMoleculeFields[] = {"element", "charge", "hydrogens", "aromatic"};

std::filesystem::path graphs_file(const std::filesystem::path& run) { return run / "graphs.json"; }

// A file's own columns, a row for each example.
Table own_table(const GraphFile& file) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  const auto add = [&](const char* name, std::size_t count, const auto& cell) {
    names.emplace_back(name);
    columns.emplace_back();
    columns.back().reserve(count);
    for (std::size_t i = 0; i < count; ++i) columns.back().push_back(cell(i));
  };
  const auto number = [](std::size_t i) { return std::to_string(i); };
  if (file.form == GraphForm::kNodes) {
    const std::size_t count = file.nodes();
    add("node", count, number);
    add("label", count, [&](std::size_t i) {
      return file.labels[i] < 0 ? std::string() : std::to_string(file.labels[i]);
    });
    add("degree", count, [&](std::size_t i) { return std::to_string(file.degree(i)); });
  } else {
    const std::size_t count = file.graphs();
    const auto nodes = [&](std::size_t i) { return file.first_node[i + 1] - file.first_node[i]; };
    const auto edges = [&](std::size_t i) {
      return (file.first_neighbour[file.first_node[i + 1]] -
              file.first_neighbour[file.first_node[i]]) /
             2;
    };
    if (file.form == GraphForm::kGraphs) {
      add("graph", count, number);
      add("label", count, [&](std::size_t i) { return std::to_string(file.labels[i]); });
    } else {
      add("molecule", count, [&](std::size_t i) { return file.names[i]; });
    }
    add("nodes", count, [&](std::size_t i) { return std::to_string(nodes(i)); });
    add("edges", count, [&](std::size_t i) { return std::to_string(edges(i)); });
    add("mean_degree", count, [&](std::size_t i) {
      return number_text(2.0 * static_cast<double>(edges(i)) / static_cast<double>(nodes(i)));
    });
  }
  return Table::made(std::move(names), columns, file.source).with_lines(file.lines);
}

// A column of nodes' numbers in a table of pairs.
std::vector<std::size_t> node_column(const Table& table, const char* name, std::size_t nodes) {
  std::vector<std::size_t> column;
  column.reserve(table.rows());
  const std::size_t place = table.column_index(name);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string cell(trim(table.cell(row, place)));
    const auto node = whole_number<std::int64_t>(cell);
    DETENTE_CHECK(node && *node >= 0 && static_cast<std::size_t>(*node) < nodes,
                  ErrorCode::kData,
                  "[data::GraphSource] line {} of '{}', column '{}': '{}' is no node of the graph; "
                  "expected a "
                  "number from 0 to {}.",
                  table.line(row),
                  table.source(),
                  name,
                  cell,
                  nodes - 1);
    column.push_back(static_cast<std::size_t>(*node));
  }
  return column;
}

}  // namespace

void GraphSource::describe(FieldVisitor& data) {
  data.choice(
      "form",
      form_,
      {{"auto", GraphForm::kAuto},
       {"nodes", GraphForm::kNodes},
       {"graphs", GraphForm::kGraphs},
       {"molecules", GraphForm::kMolecules},
       {"edges", GraphForm::kEdges}},
      "Graphs: what the files hold. nodes: one graph, whose nodes are the examples; graphs: "
      "many; molecules: many, a line each; edges: one graph as a list of its edges. auto: by the "
      "first line.");
  data.file("targets",
            targets_file_,
            "Graphs: a table with further targets, a row for each example of data.train in its "
            "order.");
  data.file("dev_targets", dev_targets_file_, "Graphs: the same for data.dev.");
  data.file("graph",
            graph_,
            "Graphs of the form nodes: the graph, where the examples are pairs of its nodes: "
            "data.train is then a "
            "table with the columns node, other and targets, and split as tables are.");
  data.integer("neighbours",
               neighbours_,
               {.min = 0, .max = 1e6},
               "Graphs of the form nodes: a step takes the nodes around its examples alone, of "
               "each node so many "
               "neighbours, drawn anew in every step; validation and prediction take all "
               "neighbours. 0: every "
               "step takes the whole graph.");
  data.flag("scale_rows",
            scale_rows_,
            "Graphs of the form nodes: each of a node's k features is 1/k instead of 1.");
  data.flag(
      "size",
      size_,
      "Graphs of the other forms: a feature of each node says how many nodes its graph has, as "
      "(n - mean) / deviation over the training graphs. Sums over nodes say so too, but where "
      "graphs are of nearly one size a network takes long to see it.");
}

void GraphSource::resolve_paths(const std::filesystem::path& folder) {
  for (std::string* file : {&targets_file_, &dev_targets_file_, &graph_}) {
    if (!file->empty()) *file = absolute_path(*file, folder);
  }
}

std::unique_ptr<Source> GraphSource::fresh() const {
  auto source = std::make_unique<GraphSource>();
  source->form_ = form_;
  source->targets_file_ = targets_file_;
  source->dev_targets_file_ = dev_targets_file_;
  source->graph_ = graph_;
  source->neighbours_ = neighbours_;
  source->hops_ = hops_;
  source->scale_rows_ = scale_rows_;
  source->size_ = size_;
  return source;
}

std::size_t GraphSource::example_count() const {
  return file_.form == GraphForm::kNodes ? file_.nodes() : file_.graphs();
}

RowList GraphSource::chosen_rows(const SourceFiles& files, Part part) const {
  const bool own_file = part == Part::kDev && !files.dev.empty();
  if (own_file || files.split.any()) return files.chosen_rows(part, example_count());
  if (file_.form != GraphForm::kNodes) {
    DETENTE_CHECK(
        part == Part::kTrain,
        ErrorCode::kInvalidArgument,
        "[data::GraphSource] there are no {} graphs: files of the form {} do not say which "
        "those are. Name a file (data.dev) or a share (data.split.{}).",
        name_of(part),
        name_of(file_.form),
        name_of(part));
    return files.chosen_rows(part, example_count());
  }
  const std::int32_t wanted = part == Part::kTrain ? 0 : part == Part::kDev ? 1 : 2;
  RowList rows;
  for (std::size_t node = 0; node < file_.nodes(); ++node) {
    if (file_.splits[node] == wanted) rows.push_back(node);
  }
  DETENTE_CHECK(!rows.empty(),
                ErrorCode::kData,
                "[data::GraphSource] '{}' has no {} nodes (split {}); expected at least one. Mark "
                "some, or set data.split.",
                file_.source,
                name_of(part),
                wanted);
  return files.limited(part, std::move(rows), file_.nodes());
}

void GraphSource::read_targets(const SourceInput& input, const Table& own) {
  const bool dev = input.part == Part::kDev && !input.files.dev.empty();
  const std::string& path = dev ? dev_targets_file_ : targets_file_;
  std::optional<Table> more;
  if (!path.empty()) {
    more = Table::read(path);
    DETENTE_CHECK(
        more->rows() == own.rows(),
        ErrorCode::kData,
        "[data::GraphSource] '{}' has {} rows of targets, '{}' {} examples; expected a row "
        "for each, in their order.",
        path,
        more->rows(),
        own.source(),
        own.rows());
    for (const char* name : {"molecule", "mol_id"}) {
      if (!more->has_column(name) || !own.has_column("molecule")) continue;
      const auto there = more->text_column(name);
      const auto here = own.text_column("molecule");
      for (std::size_t i = 0; i < here.size(); ++i) {
        DETENTE_CHECK(
            trim(there[i]) == here[i],
            ErrorCode::kData,
            "[data::GraphSource] line {} of '{}' is about '{}', but line {} of '{}' about "
            "'{}'; expected the same order.",
            more->line(i),
            path,
            there[i],
            own.line(i),
            own.source(),
            here[i]);
      }
    }
  }
  const Table own_rows = own.select(rows_);
  std::optional<Table> more_rows;
  if (more) more_rows = more->select(rows_);
  for (const TargetColumn& target : input.targets) {
    const std::string column = target.file_columns().front();
    const bool in_more =
        more_rows && (more_rows->has_column(column) || !own_rows.has_column(column));
    const Table& table = in_more ? *more_rows : own_rows;
    targets_.push_back(read_target(table, target, table.rows(), warnings_));
  }
}

std::vector<std::string> GraphSource::named_files() const {
  std::vector<std::string> files = {targets_file_, dev_targets_file_};
  if (pairs()) files.push_back(graph_);
  return files;
}

// Where a graph has exactly the links that are asked for, a network need only look. Of training rows that is
// as it should be.
void GraphSource::warn_of_given_links(const SourceInput& input) {
  if (input.part == Part::kTrain) return;
  for (std::size_t t = 0; t < targets_.size(); ++t) {
    if (input.targets[t].kind != TaskKind::kBinary) continue;
    std::size_t links = 0;
    bool alike = true;
    for (std::size_t row = 0; alike && row < rows_.size(); ++row) {
      const double target = targets_[t].values[row];
      if (std::isnan(target)) continue;
      const bool linked = file_.linked(first_[row], second_[row]);
      alike = linked == (target == 1);
      links += linked ? 1 : 0;
    }
    if (!alike || links == 0) continue;
    warnings_.push_back(
        fmt::format("task '{}' asks of the {} rows exactly which pairs are edges of data.graph, so "
                    "the network sees the answer: "
                    "keep those edges out of the graph (`detente data links` does).",
                    input.targets[t].task,
                    name_of(input.part)));
  }
}

void GraphSource::read_pairs(const SourceInput& input) {
  DETENTE_CHECK(
      targets_file_.empty() && dev_targets_file_.empty(),
      ErrorCode::kInvalidArgument,
      "[data::GraphSource] with data.graph the targets are columns of data.train; data.targets and "
      "data.dev_targets do not go with it.");
  file_ = read_graph_file(graph_, form_);
  DETENTE_CHECK(file_.form == GraphForm::kNodes,
                ErrorCode::kData,
                "[data::GraphSource] data.graph '{}' has the form {}; pairs of nodes need one "
                "graph, the form nodes.",
                graph_,
                name_of(file_.form));
  table_ = input.files.read_table(input.part);
  first_ = node_column(*table_, "node", file_.nodes());
  second_ = node_column(*table_, "other", file_.nodes());
  rows_.resize(table_->rows());
  std::iota(rows_.begin(), rows_.end(), std::size_t{0});
  for (const TargetColumn& target : input.targets) {
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
  warn_of_given_links(input);
}

void GraphSource::read_examples(const SourceInput& input) {
  SourceFiles files = input.files;
  files.own_parts = true;
  const std::string path = files.file(input.part);
  try {
    file_ = path == kStandardInput
                ? parse_graph_file(read_standard_input(), "standard input", form_)
                : read_graph_file(path, form_);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
    throw Error(
        error.code(),
        std::string(error.what()) +
            " docs/data.md has the forms of graphs; a table of pairs of nodes needs data.graph.");
  }
  rows_ = chosen_rows(files, input.part);
  const Table own = own_table(file_);
  if (!input.targets.empty()) read_targets(input, own);
  table_ = own.select(rows_);
}

void GraphSource::read_rows(const SourceInput& input, const Source* fitted) {
  if (pairs()) {
    read_pairs(input);
  } else {
    read_examples(input);
  }
  costs_.assign(rows_.size(), 1);
  take_places(*table_);
  if (fitted == nullptr) {
    fit();
  } else {
    fit_ = dynamic_cast<const GraphSource&>(*fitted).fit_;
    check_fits();
  }
  encode();
}

std::vector<std::int64_t> GraphSource::field_values(std::size_t field) const {
  if (file_.form == GraphForm::kGraphs) return file_.tags;
  std::vector<std::int64_t> values;
  values.reserve(file_.atoms.size());
  for (const Atom& atom : file_.atoms) {
    const std::int64_t all[] = {
        atom.element, atom.charge, atom.hydrogens, static_cast<std::int64_t>(atom.aromatic)};
    values.push_back(all[field]);
  }
  return values;
}

void GraphSource::fit() {
  fit_ = {};
  fit_.form = file_.form;
  if (file_.form == GraphForm::kNodes) {
    fit_.file_features = file_.feature_count;
    return;
  }
  std::vector<double> sizes;
  for (const std::size_t row : rows_) {
    sizes.push_back(static_cast<double>(file_.first_node[row + 1] - file_.first_node[row]));
  }
  const Moments size = finite_moments(sizes);
  fit_.size_mean = size.mean;
  if (size.deviation > 0) fit_.size_deviation = size.deviation;
  const auto each_node = [&](const auto& visit) {
    for (const std::size_t row : rows_) {
      for (std::size_t i = file_.first_node[row]; i < file_.first_node[row + 1]; ++i) visit(i);
    }
  };
  const std::size_t count = file_.form == GraphForm::kGraphs ? 1 : std::size(kMoleculeFields);
  for (std::size_t f = 0; f < count; ++f) {
    Field field{file_.form == GraphForm::kGraphs ? "tag" : kMoleculeFields[f], {}};
    const auto values = field_values(f);
    each_node([&](std::size_t node) { field.values.push_back(values[node]); });
    std::sort(field.values.begin(), field.values.end());
    field.values.erase(std::unique(field.values.begin(), field.values.end()), field.values.end());
    fit_.fields.push_back(std::move(field));
  }
  for (std::size_t a = 0; a < file_.attribute_count; ++a) {
    std::vector<double> values;
    each_node([&](std::size_t node) {
      values.push_back(file_.attributes[node * file_.attribute_count + a]);
    });
    const Moments moments = finite_moments(values);
    fit_.means.push_back(moments.mean);
    fit_.deviations.push_back(moments.deviation > 0 ? moments.deviation : 1.0);
  }
}

void GraphSource::check_fits() const {
  DETENTE_CHECK(file_.form == fit_.form,
                ErrorCode::kData,
                "[data::GraphSource] '{}' has the form {}, the training examples {}; expected the "
                "same.",
                file_.source,
                name_of(file_.form),
                name_of(fit_.form));
  DETENTE_CHECK(
      file_.feature_count == fit_.file_features,
      ErrorCode::kData,
      "[data::GraphSource] '{}' has {} features, the training graph {}; expected the same "
      "ones.",
      file_.source,
      file_.feature_count,
      fit_.file_features);
  DETENTE_CHECK(file_.attribute_count == fit_.means.size(),
                ErrorCode::kData,
                "[data::GraphSource] the nodes of '{}' have {} attributes, those of the training "
                "graphs {}; expected the same ones.",
                file_.source,
                file_.attribute_count,
                fit_.means.size());
}

std::size_t GraphSource::feature_count() const {
  if (fit_.form == GraphForm::kNodes) return static_cast<std::size_t>(fit_.file_features);
  std::size_t count = fit_.means.size() + (size_ ? 1 : 0);
  for (const Field& field : fit_.fields) count += 1 + field.values.size();
  return fit_.form == GraphForm::kMolecules ? count + kBondTypes : count;
}

void GraphSource::encode() {
  const std::size_t nodes = file_.nodes();
  features_.first.assign(nodes + 1, 0);
  features_.entries.clear();
  features_.values.clear();
  if (file_.form == GraphForm::kNodes) {
    features_.first = file_.first_feature;
    features_.entries = file_.features;
    features_.values.assign(features_.entries.size(), 1.0F);
    for (std::size_t node = 0; scale_rows_ && node < nodes; ++node) {
      const std::size_t begin = features_.first[node];
      const std::size_t count = features_.first[node + 1] - begin;
      for (std::size_t i = 0; i < count; ++i)
        features_.values[begin + i] = 1.0F / static_cast<float>(count);
    }
    return;
  }
  std::vector<std::vector<std::int64_t>> fields;
  for (std::size_t f = 0; f < fit_.fields.size(); ++f) fields.push_back(field_values(f));
  const auto add = [&](std::size_t feature, double value) {
    if (value == 0) return;
    features_.entries.push_back(static_cast<std::int32_t>(feature));
    features_.values.push_back(static_cast<float>(value));
  };
  std::size_t graph = 0;
  for (std::size_t node = 0; node < nodes; ++node) {
    if (node == file_.first_node[graph + 1]) ++graph;
    std::size_t first = 0;
    for (std::size_t f = 0; f < fields.size(); ++f) {
      const auto& known = fit_.fields[f].values;
      const auto found = std::lower_bound(known.begin(), known.end(), fields[f][node]);
      const bool is_known = found != known.end() && *found == fields[f][node];
      // The first feature of a field is for all that training has not seen.
      add(first + (is_known ? 1 + static_cast<std::size_t>(found - known.begin()) : 0), 1);
      first += 1 + known.size();
    }
    for (std::size_t a = 0; a < fit_.means.size(); ++a) {
      const double value = file_.attributes[node * fit_.means.size() + a];
      add(first++,
          std::clamp((value - fit_.means[a]) / fit_.deviations[a],
                     -kLargestStandardised,
                     kLargestStandardised));
    }
    if (file_.form == GraphForm::kMolecules) {
      std::size_t bonds[kBondTypes] = {};
      for (std::size_t i = file_.first_neighbour[node]; i < file_.first_neighbour[node + 1]; ++i) {
        ++bonds[file_.bond_types[i] - 1];
      }
      for (const std::size_t count : bonds) add(first++, static_cast<double>(count));
    }
    if (size_) {
      const auto count = static_cast<double>(file_.first_node[graph + 1] - file_.first_node[graph]);
      add(first,
          std::clamp((count - fit_.size_mean) / fit_.size_deviation,
                     -kLargestStandardised,
                     kLargestStandardised));
    }
    features_.first[node + 1] = features_.entries.size();
  }
}

Batch GraphSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  RowList asked;
  for (const std::size_t row : rows) asked.push_back(pairs() ? first_[row] : rows_[row]);
  if (!nodes()) return union_of_graphs(file_, features_, asked);
  if (pairs()) {
    for (const std::size_t row : rows) asked.push_back(second_[row]);
  }
  const auto numbers_in = [&](const std::vector<std::int32_t>& numbers, std::size_t from) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(from);
    return std::vector<std::int32_t>(begin, begin + static_cast<std::ptrdiff_t>(rows.size()));
  };
  std::vector<std::int32_t> numbers(asked.begin(), asked.end());
  Batch batch;
  if (neighbours_ > 0) {
    Neighbourhood around = neighbourhood(
        file_, features_, asked, hops_, static_cast<std::size_t>(neighbours_), augment);
    batch = std::move(around.batch);
    numbers = std::move(around.asked);
  } else {
    batch = whole_graph(file_, features_);
  }
  batch.push_back({"asked", {rows.size()}, numbers_in(numbers, 0)});
  if (pairs()) batch.push_back({"asked_other", {rows.size()}, numbers_in(numbers, rows.size())});
  return batch;
}

std::string GraphSource::digest() const {
  if (!nodes()) return Source::digest();
  RowList all(size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::uint32_t crc = 0;
  const auto take = [&crc](const Batch& arrays) {
    for (const Array& array : arrays) {
      crc = crc32c(array.name, crc);
      std::visit(
          [&crc](const auto& values) {
            using Value = typename std::decay_t<decltype(values)>::value_type;
            crc = crc32c(
                {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)}, crc);
          },
          array.values);
    }
  };
  take(batch(all, nullptr));
  take(target_batch(all));
  return "crc32c:" + crc32c_text(crc);
}

void GraphSource::save(const std::filesystem::path& run) const {
  Json fields = Json::array();
  for (const Field& field : fit_.fields) {
    fields.push_back({{"name", field.name}, {"values", field.values}});
  }
  const Json json{{"format", kGraphFormat},
                  {"form", name_of(fit_.form)},
                  {"features", fit_.file_features},
                  {"fields", std::move(fields)},
                  {"means", fit_.means},
                  {"deviations", fit_.deviations},
                  {"size_mean", fit_.size_mean},
                  {"size_deviation", fit_.size_deviation}};
  write_own_file(graphs_file(run), json.dump(1) + "\n");
}

void GraphSource::load(const std::filesystem::path& run) {
  const std::string path = graphs_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  Fit fit;
  try {
    bool good = json.is_object() && json.value("format", "") == kGraphFormat;
    const std::string form = good ? json.at("form").get<std::string>() : "";
    for (const GraphForm one : {GraphForm::kNodes, GraphForm::kGraphs, GraphForm::kMolecules}) {
      if (form == name_of(one)) fit.form = one;
    }
    good = good && fit.form != GraphForm::kAuto;
    if (good) {
      fit.file_features = json.at("features").get<std::int64_t>();
      for (const Json& field : json.at("fields")) {
        fit.fields.push_back({field.at("name").get<std::string>(),
                              field.at("values").get<std::vector<std::int64_t>>()});
        const auto& values = fit.fields.back().values;
        good = good && std::is_sorted(values.begin(), values.end());
      }
      fit.means = json.at("means").get<std::vector<double>>();
      fit.deviations = json.at("deviations").get<std::vector<double>>();
      fit.size_mean = json.at("size_mean").get<double>();
      fit.size_deviation = json.at("size_deviation").get<double>();
      good = good && fit.size_deviation > 0;
      const std::size_t fields = fit.form == GraphForm::kNodes    ? 0
                                 : fit.form == GraphForm::kGraphs ? 1
                                                                  : std::size(kMoleculeFields);
      good = good && fit.fields.size() == fields && fit.means.size() == fit.deviations.size() &&
             (fit.file_features > 0) == (fit.form == GraphForm::kNodes) &&
             std::all_of(fit.deviations.begin(), fit.deviations.end(), [](double deviation) {
               return deviation > 0;
             });
    }
    if (!good) fit.form = GraphForm::kAuto;
  } catch (const Json::exception&) {
    fit.form = GraphForm::kAuto;
  }
  DETENTE_CHECK(fit.form != GraphForm::kAuto,
                ErrorCode::kData,
                "[data::GraphSource] '{}' is damaged or of another version; expected {} with form, "
                "features, fields, means and deviations.",
                path,
                kGraphFormat);
  fit_ = std::move(fit);
}

std::vector<ShownColumn> GraphSource::shown() const { return shown_columns(table_); }

}  // namespace detente::data
