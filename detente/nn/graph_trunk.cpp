// SPDX-License-Identifier: Apache-2.0
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <detente/core/error.h>
#include <detente/data/graph_source.h>
#include <detente/nn/graph_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

namespace detente::nn {
namespace {

constexpr std::int64_t kMostInputs = std::int64_t{1} << 30;

constexpr const char* kPair = "pair";

std::string convolution_name(std::size_t layer) { return "layers." + std::to_string(layer); }

const data::GraphSource& graph_source(const data::Source& source, const char* kind) {
  const auto* graph = dynamic_cast<const data::GraphSource*>(&source);
  DETENTE_CHECK(
      graph != nullptr,
      ErrorCode::kInvalidArgument,
      "[nn::GraphTrunk] model.kind {} takes graphs; data.kind is {}. Use data.kind: graph "
      "or another model.",
      kind,
      source.kind());
  return *graph;
}

using Numbers = std::vector<std::int32_t>;

const Numbers& numbers_of(const data::Batch& batch, const char* name) {
  return std::get<Numbers>(data::array_of(batch, name).values);
}

void check_below(const Numbers& numbers, std::int64_t bound, ErrorCode code, const char* what) {
  const bool fits = std::all_of(
      numbers.begin(), numbers.end(), [bound](std::int32_t i) { return i >= 0 && i < bound; });
  if (fits) return;
  fail(code, "[nn::GraphTrunk] a batch names {} beyond the {} that there are.", what, bound);
}

at::Tensor index_tensor(const Numbers& numbers) {
  return torch::tensor(at::IntArrayRef(std::vector<std::int64_t>(numbers.begin(), numbers.end())),
                       torch::kInt64);
}

// A matrix from its entries, in the type and on the device of the parameters.
at::Tensor sparse_matrix(const std::vector<std::int64_t>& rows,
                         const std::vector<std::int64_t>& columns,
                         const std::vector<double>& values,
                         std::int64_t height,
                         std::int64_t width,
                         const at::TensorOptions& type) {
  const at::Tensor places =
      torch::stack({torch::tensor(rows, torch::kInt64), torch::tensor(columns, torch::kInt64)});
  // Coalescing sorts the entries: sums have one order, whatever the order they were given in.
  return torch::sparse_coo_tensor(places.to(type.device()),
                                  torch::tensor(values, torch::kFloat64).to(type),
                                  {height, width},
                                  type.layout(torch::kSparse))
      .coalesce();
}

}  // namespace

void GraphTrunk::describe(FieldVisitor& model) {
  model.numbers("widths", widths_, {.min = 1, .max = 1e6}, "Widths of the convolutions.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of activations dropped after each convolution.");
  model.number("input_dropout",
               input_dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of the nodes' features dropped.");
  model.choice("readout",
               readout_,
               {{"sum", Readout::kSum}, {"mean", Readout::kMean}},
               "A graph's features from its nodes': the sum grows with the graph, the mean does "
               "not. Nodes as examples have no use for it.");
}

void GraphTrunk::validate() const {
  check_sizes("nn::GraphTrunk", "widths", widths_, "convolution");
}

void GraphTrunk::prepare(data::Source& source) const {
  graph_source(source, kind());
  dynamic_cast<data::GraphSource&>(source).set_hops(widths_.size() + (mixes_last() ? 1 : 0));
}

void GraphTrunk::build(const data::Source& fitted, Draw& draw) {
  const data::GraphSource& source = graph_source(fitted, kind());
  build(source.feature_count(), draw, source.pairs());
}

void GraphTrunk::build(std::size_t feature_count, Draw& draw, bool pairs) {
  validate();
  feature_count_ = static_cast<std::int64_t>(feature_count);
  parameters_ = Parameters();
  std::int64_t in = feature_count_;
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(widths_[i]);
    add_layer(i, in, out, draw);
    in = out;
  }
  if (pairs) parameters_.add_linear(draw, kPair, in, in);
}

at::Tensor GraphTrunk::pair_features(const at::Tensor& first, const at::Tensor& second) const {
  return parameters_.linear(first, kPair) * parameters_.linear(second, kPair);
}

at::Tensor GraphTrunk::features(const data::Batch& batch, Rng* random) const {
  const at::TensorOptions type = parameters_.trained().front().second.options();
  const Numbers& degree = numbers_of(batch, "degree");
  const auto nodes = static_cast<std::int64_t>(degree.size());
  const bool of_nodes = data::find_array(batch, "asked") != nullptr;
  const Numbers& examples = numbers_of(batch, of_nodes ? "asked" : "sizes");
  DETENTE_CHECK(nodes > 0 && !examples.empty(),
                ErrorCode::kShape,
                "[nn::GraphTrunk] a batch needs at least one example; got {} nodes, {} examples.",
                nodes,
                examples.size());
  DETENTE_CHECK(nodes <= kMostInputs / std::max<std::int64_t>(feature_count_, 1),
                ErrorCode::kUnsupported,
                "[nn::GraphTrunk] {} nodes with {} features are more than {} numbers; expected "
                "smaller batches (train.batch_size), a smaller graph or fewer features.",
                nodes,
                feature_count_,
                kMostInputs);

  const Numbers& from = numbers_of(batch, "from");
  const Numbers& to = numbers_of(batch, "to");
  const Numbers& entry_nodes = numbers_of(batch, "feature_node");
  const Numbers& entries = numbers_of(batch, "feature");
  DETENTE_CHECK(from.size() == to.size() && entry_nodes.size() == entries.size(),
                ErrorCode::kShape,
                "[nn::GraphTrunk] a batch's edges or features have two lengths: {} and {}, {} and "
                "{}.",
                from.size(),
                to.size(),
                entry_nodes.size(),
                entries.size());
  const data::Array* const counts = data::find_array(batch, "edge_weight");
  const auto* const edge_weights =
      counts == nullptr ? nullptr : &std::get<std::vector<float>>(counts->values);
  DETENTE_CHECK(edge_weights == nullptr || edge_weights->size() == from.size(),
                ErrorCode::kShape,
                "[nn::GraphTrunk] a batch has {} edges, and weights of {}.",
                from.size(),
                edge_weights == nullptr ? 0 : edge_weights->size());
  check_below(from, nodes, ErrorCode::kShape, "a node");
  check_below(to, nodes, ErrorCode::kShape, "a node");
  check_below(entry_nodes, nodes, ErrorCode::kShape, "a node");
  check_below(entries, feature_count_, ErrorCode::kData, "a feature");

  Dropout drop(random);
  const at::Tensor values = tensor_of(data::array_of(batch, "feature_value")).to(type);
  at::Tensor x = torch::zeros({nodes, feature_count_}, type)
                     .index_put_({index_tensor(entry_nodes).to(type.device()),
                                  index_tensor(entries).to(type.device())},
                                 values);
  x = drop(x, input_dropout_);

  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> columns;
  std::vector<double> weights;
  const auto add = [&](std::int64_t row, std::int64_t column, double weight) {
    rows.push_back(row);
    columns.push_back(column);
    weights.push_back(weight);
  };
  for (std::int64_t i = 0; i < nodes; ++i) {
    add(i, i, own_weight(degree[static_cast<std::size_t>(i)]));
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    const double weight = neighbour_weight(degree[static_cast<std::size_t>(to[i])],
                                           degree[static_cast<std::size_t>(from[i])]);
    add(to[i], from[i], edge_weights == nullptr ? weight : weight * (*edge_weights)[i]);
  }
  const at::Tensor matrix = sparse_matrix(rows, columns, weights, nodes, nodes, type);
  const auto mix = [&](const at::Tensor& m, const at::Tensor& y) {
    // Products with sparse matrices have no low precision.
    const c10::impl::ExcludeDispatchKeyGuard exact(c10::autocast_dispatch_keyset);
    return torch::mm(m, y.to(type.dtype()));
  };
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    x = drop(layer(mix(matrix, x), i), dropout_);
  }
  if (mixes_last()) x = mix(matrix, x);
  if (of_nodes) {
    const auto features_of = [&](const Numbers& asked) {
      check_below(asked, nodes, ErrorCode::kShape, "a node");
      return x.index_select(0, index_tensor(asked).to(type.device()));
    };
    const at::Tensor first = features_of(examples);
    if (data::find_array(batch, "asked_other") == nullptr) return first;
    const Numbers& others = numbers_of(batch, "asked_other");
    DETENTE_CHECK(others.size() == examples.size(),
                  ErrorCode::kShape,
                  "[nn::GraphTrunk] a batch asks for pairs of {} and {} nodes.",
                  examples.size(),
                  others.size());
    return pair_features(first, features_of(others));
  }

  const Numbers& graph_of = numbers_of(batch, "graph_of");
  const auto graphs = static_cast<std::int64_t>(examples.size());
  DETENTE_CHECK(graph_of.size() == degree.size(),
                ErrorCode::kShape,
                "[nn::GraphTrunk] {} of {} nodes belong to a graph.",
                graph_of.size(),
                nodes);
  check_below(graph_of, graphs, ErrorCode::kShape, "a graph");
  rows.assign(graph_of.begin(), graph_of.end());
  columns.clear();
  weights.clear();
  for (std::int64_t i = 0; i < nodes; ++i) {
    columns.push_back(i);
    const std::int32_t size = examples[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])];
    weights.push_back(readout_ == Readout::kSum ? 1.0 : 1.0 / size);
  }
  return mix(sparse_matrix(rows, columns, weights, graphs, nodes, type), x);
}

void GcnTrunk::describe(FieldVisitor& model) {
  GraphTrunk::describe(model);
  model.flag("spread",
             spread_,
             "Mix the last features with the neighbours' once more, so that each head is a "
             "convolution of its own.");
}

double GcnTrunk::own_weight(std::int64_t degree) const {
  return 1.0 / static_cast<double>(degree + 1);
}

double GcnTrunk::neighbour_weight(std::int64_t degree, std::int64_t other) const {
  return 1.0 / std::sqrt(static_cast<double>(degree + 1) * static_cast<double>(other + 1));
}

void GcnTrunk::add_layer(std::size_t layer, std::int64_t in, std::int64_t out, Draw& draw) {
  parameters_.add_linear(draw, convolution_name(layer), in, out);
}

at::Tensor GcnTrunk::layer(const at::Tensor& mixed, std::size_t layer) const {
  return torch::relu(parameters_.linear(mixed, convolution_name(layer)));
}

void GinTrunk::describe(FieldVisitor& model) {
  GraphTrunk::describe(model);
  model.number("epsilon",
               epsilon_,
               {.min = -1, .max = 1e6},
               "A node's own features count 1 + epsilon times a neighbour's.");
  model.flag("norm", norm_, "Layer normalisation between the two linear layers.");
}

double GinTrunk::own_weight(std::int64_t /*degree*/) const { return 1.0 + epsilon_; }

double GinTrunk::neighbour_weight(std::int64_t /*degree*/, std::int64_t /*other*/) const {
  return 1.0;
}

void GinTrunk::add_layer(std::size_t layer, std::int64_t in, std::int64_t out, Draw& draw) {
  const std::string name = convolution_name(layer);
  parameters_.add_linear(draw, name + ".first", in, out);
  if (norm_) parameters_.add_norm(name + ".norm", out);
  parameters_.add_linear(draw, name + ".second", out, out);
}

at::Tensor GinTrunk::layer(const at::Tensor& mixed, std::size_t layer) const {
  const std::string name = convolution_name(layer);
  at::Tensor x = parameters_.linear(mixed, name + ".first");
  if (norm_) x = parameters_.norm(x, name + ".norm");
  return torch::relu(parameters_.linear(torch::relu(x), name + ".second"));
}

}  // namespace detente::nn
