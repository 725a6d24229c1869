// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/array_source.h>
#include <detente/data/table_source.h>
#include <detente/nn/mlp_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {
namespace {

// Beside standardised numbers a category's vector starts small: what it means is yet to be learned.
constexpr double kEmbeddingDeviation = 0.1;
constexpr std::int64_t kWidestEmbedding = 32;

std::string layer_name(std::size_t i) { return "layers." + std::to_string(i); }
std::string embedding_name(std::size_t i) { return "embeddings." + std::to_string(i) + ".weight"; }

const data::ArraySource* arrays_of(const data::Source& source) {
  return dynamic_cast<const data::ArraySource*>(&source);
}

const data::TableSource& table_source(const data::Source& source) {
  const auto* table = dynamic_cast<const data::TableSource*>(&source);
  DETENTE_CHECK(table != nullptr,
                ErrorCode::kInvalidArgument,
                "[nn::MlpTrunk] model.kind mlp takes rows of a table and arrays [n, d]; data.kind "
                "is {}. Use data.kind: table or another model.",
                source.kind());
  return *table;
}

void check_rows(const data::ArraySource& arrays) {
  DETENTE_CHECK(arrays.sides().size() == 1,
                ErrorCode::kInvalidArgument,
                "[nn::MlpTrunk] model.kind mlp takes arrays [n, d]; those of data.inputs have {} "
                "dimensions. Use model.kind: {}.",
                arrays.sides().size() + 1,
                arrays.sides().size() == 2   ? "convnet1d or convnet"
                : arrays.sides().size() == 3 ? "convnet or resnet"
                                             : "convnet3d or convnet");
}

// How a network's numbers follow from the user's.
struct Standards {
  std::vector<double> means;
  std::vector<double> deviations;
  std::vector<std::int64_t> marked;  // places among them
};

Standards standards_of(const data::Source& fitted) {
  Standards standards;
  if (const auto* arrays = arrays_of(fitted)) {
    standards.means = arrays->means();
    standards.deviations = arrays->deviations();
    for (const std::size_t c : arrays->marked()) {
      standards.marked.push_back(static_cast<std::int64_t>(c));
    }
    return standards;
  }
  for (const data::TableColumn& column : table_source(fitted).columns()) {
    if (column.kind() == data::TableColumn::Kind::kCategory) continue;
    if (column.marks_missing()) {
      standards.marked.push_back(static_cast<std::int64_t>(standards.means.size()));
    }
    standards.means.push_back(column.mean());
    standards.deviations.push_back(column.deviation());
  }
  return standards;
}

// [B, width]; undefined when the batch has none and none are expected.
at::Tensor columns(const data::Batch& batch, const char* name, std::size_t width) {
  const data::Array* array = data::find_array(batch, name);
  const std::size_t found = array == nullptr ? 0 : array->shape.at(1);
  DETENTE_CHECK(found == width && (array == nullptr || array->shape[0] > 0),
                ErrorCode::kShape,
                "[nn::MlpTrunk] a batch needs at least one row of {} '{}'; got {} rows of {}.",
                width,
                name,
                array == nullptr ? 0 : array->shape[0],
                found);
  if (array == nullptr) return {};
  return tensor_of(*array);
}

}  // namespace

void MlpTrunk::describe(FieldVisitor& model) {
  model.numbers("widths", widths_, {.min = 1, .max = 1e6}, "Widths of the hidden layers.");
  model.choice(
      "activation",
      activation_,
      {{"relu", Activation::kRelu}, {"gelu", Activation::kGelu}, {"silu", Activation::kSilu}},
      "Between the layers.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of activations dropped after each hidden layer.");
  model.integer("embedding",
                embedding_,
                {.min = 0, .max = 1e6},
                "Numbers per category; 0: 1 + the root of how many there are, at most 32.");
}

void MlpTrunk::validate() const { check_sizes("nn::MlpTrunk", "widths", widths_, "hidden layer"); }

void MlpTrunk::prepare(data::Source& source) const {
  if (arrays_of(source) == nullptr) table_source(source);
}

void MlpTrunk::build(const data::Source& fitted, Draw& draw) {
  if (const auto* arrays = arrays_of(fitted)) {
    check_rows(*arrays);
    build(arrays->sides().front(), arrays->marked().size(), {}, draw);
    return;
  }
  const data::TableSource& table = table_source(fitted);
  build(table.number_columns(), table.missing_columns(), table.category_counts(), draw);
}

void MlpTrunk::build(std::size_t numbers,
                     std::size_t missing,
                     const std::vector<std::size_t>& categories,
                     Draw& draw) {
  validate();
  numbers_ = numbers;
  missing_ = missing;
  categories_ = categories;
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(numbers + missing);
  for (std::size_t i = 0; i < categories.size(); ++i) {
    const auto count = static_cast<std::int64_t>(categories[i]);
    const std::int64_t width = embedding_width(categories[i]);
    at::Tensor table = draw.normal({count, width}, kEmbeddingDeviation);
    table[0].zero_();
    parameters_.add(embedding_name(i), table);
    in += width;
  }
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(widths_[i]);
    parameters_.add_linear(draw, layer_name(i), in, out);
    in = out;
  }
}

std::int64_t MlpTrunk::width() const { return static_cast<std::int64_t>(widths_.back()); }

std::int64_t MlpTrunk::embedding_width(std::size_t count) const {
  if (embedding_ > 0) return embedding_;
  const auto root = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  return std::min(1 + root, kWidestEmbedding);
}

at::Tensor MlpTrunk::features(const data::Batch& batch, Rng* random) const {
  const at::TensorOptions type = parameters_(layer_name(0) + ".weight").options();
  TensorList joined;
  if (const at::Tensor numbers = columns(batch, "numbers", numbers_); numbers.defined()) {
    joined.push_back(numbers.to(type));
  }
  if (const at::Tensor missing = columns(batch, "missing", missing_); missing.defined()) {
    joined.push_back(missing.to(type));
  }
  if (const at::Tensor ids = columns(batch, "categories", categories_.size()); ids.defined()) {
    for (std::size_t i = 0; i < categories_.size(); ++i) {
      const at::Tensor column = ids.select(1, static_cast<std::int64_t>(i)).contiguous();
      const auto count = static_cast<std::int64_t>(categories_[i]);
      DETENTE_CHECK(
          column.min().item<std::int64_t>() >= 0 && column.max().item<std::int64_t>() < count,
          ErrorCode::kData,
          "[nn::MlpTrunk] category column {} holds an id outside its {} categories; the "
          "rows were encoded for another run.",
          i,
          count);
      joined.push_back(torch::embedding(parameters_(embedding_name(i)), column.to(type.device())));
    }
  }
  DETENTE_CHECK(!joined.empty(), ErrorCode::kShape, "[nn::MlpTrunk] the batch has no columns.");
  Dropout drop(random);
  return hidden(joined, drop);
}

PortableInputs MlpTrunk::portable_inputs(const data::Source& fitted) const {
  using Kind = data::TableColumn::Kind;
  std::vector<data::TableColumn> columns;
  if (arrays_of(fitted) == nullptr) columns = table_source(fitted).columns();
  std::string numbers;
  std::string categories;
  for (const data::TableColumn& column : columns) {
    std::string& list = column.kind() == Kind::kCategory ? categories : numbers;
    if (!list.empty()) list += ", ";
    list += column.name();
    if (column.kind() == Kind::kDate) list += " (days since 1970-01-01)";
  }
  PortableInputs inputs;
  if (numbers_ > 0) {
    inputs.list.push_back({"numbers",
                           {"batch", ""},
                           columns.empty() ? "As in the array of the inputs, NaN where missing"
                                           : "As in the table, NaN where missing: " + numbers});
    inputs.examples.push_back(
        torch::zeros({2, static_cast<std::int64_t>(numbers_)}, torch::kFloat64));
  }
  if (!categories_.empty()) {
    inputs.list.push_back(
        {"categories",
         {"batch", ""},
         "Places in the column's list of words from 1 on, 0 for any other: " + categories});
    inputs.examples.push_back(
        torch::zeros({2, static_cast<std::int64_t>(categories_.size())}, torch::kInt64));
  }
  return inputs;
}

TensorList MlpTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const auto [means, deviations, marked] = standards_of(fitted);
  const at::TensorOptions type = parameters_(layer_name(0) + ".weight").options();
  TensorList joined;
  if (numbers_ > 0) {
    const at::Tensor& numbers = inputs.at(0);
    const auto row = [&](const std::vector<double>& values) {
      return torch::tensor(values, torch::kFloat64);
    };
    const at::Tensor missing = torch::isnan(numbers);
    const at::Tensor scaled = torch::clamp((numbers - row(means)) / row(deviations),
                                           -data::kLargestStandardised,
                                           data::kLargestStandardised);
    joined.push_back(scaled.masked_fill(missing, 0.0).to(type.dtype()));
    if (!marked.empty()) {
      joined.push_back(missing.index_select(1, torch::tensor(marked)).to(type.dtype()));
    }
  }
  for (std::size_t i = 0; i < categories_.size(); ++i) {
    const at::Tensor column = inputs.back().select(1, static_cast<std::int64_t>(i));
    joined.push_back(torch::embedding(parameters_(embedding_name(i)), column));
  }
  Dropout off(nullptr);
  return {hidden(joined, off)};
}

at::Tensor MlpTrunk::hidden(const TensorList& joined, Dropout& drop) const {
  at::Tensor x = joined.size() == 1 ? joined.front() : torch::cat(joined, 1);
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    x = parameters_.linear(x, layer_name(i));
    switch (activation_) {
      case Activation::kRelu:
        x = torch::relu(x);
        break;
      case Activation::kGelu:
        x = torch::gelu(x);
        break;
      case Activation::kSilu:
        x = torch::silu(x);
        break;
    }
    x = drop(x, dropout_);
  }
  return x;
}

}  // namespace detente::nn
