// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/data/joined_source.h>
#include <detente/nn/joined_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

namespace detente::nn {
namespace {

std::string joined_layer(std::size_t i) { return "layers." + std::to_string(i); }
std::string projection_name(const std::string& part) { return "join." + part + ".weight"; }
std::string gate_name(const std::string& part) { return "gate." + part + ".weight"; }

data::JoinedSource* joined_of(data::Source& source) {
  return dynamic_cast<data::JoinedSource*>(&source);
}

const data::JoinedSource& joined_source(const data::Source& source) {
  const auto* joined = dynamic_cast<const data::JoinedSource*>(&source);
  DETENTE_CHECK(joined != nullptr,
                ErrorCode::kInvalidArgument,
                "[nn::JoinedTrunk] model.kind joined takes examples of several parts; data.kind is "
                "{}. Use data.kind: joined or another model.",
                source.kind());
  return *joined;
}

// An identifier that no other input has.
std::string input_name(const std::string& part,
                       const std::string& input,
                       const std::vector<PortableInput>& known) {
  std::string name = part + "_" + input;
  for (char& c : name) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!fits) c = '_';
  }
  if (name.front() >= '0' && name.front() <= '9') name.insert(0, "_");
  const auto taken = [&](const PortableInput& other) { return other.name == name; };
  while (std::any_of(known.begin(), known.end(), taken)) name += '_';
  return name;
}

template <class Body>
void in_model_part(const std::string& name, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    fail(error.code(), "{} This is part '{}' of model.parts.", error.what(), name);
  }
}

}  // namespace

JoinedTrunk::JoinedTrunk(const JoinedTrunk& other)
    : Trunk(other),
      data_parts_(other.data_parts_),
      join_(other.join_),
      gate_width_(other.gate_width_),
      widths_(other.widths_),
      dropout_(other.dropout_),
      own_layers_(other.own_layers_) {
  for (const Part& part : other.parts_) {
    parts_.push_back({part.name,
                      part.kind,
                      part.trunk == nullptr ? nullptr : part.trunk->clone(),
                      part.may_lack,
                      part.stand_in});
  }
  gather();
}

void JoinedTrunk::suit(const data::Source& options) {
  const auto* joined = dynamic_cast<const data::JoinedSource*>(&options);
  if (joined == nullptr) return;  // prepare says so
  data_parts_.clear();
  for (std::size_t i = 0; i < joined->parts(); ++i) {
    data_parts_.push_back({joined->part_names()[i], joined->part(i).kind()});
  }
  settle();
}

void JoinedTrunk::settle() {
  std::vector<Part> settled;
  for (const DataPart& data : data_parts_) {
    const auto named = std::find_if(
        parts_.begin(), parts_.end(), [&](const Part& part) { return part.name == data.name; });
    if (named != parts_.end()) {
      settled.push_back(std::move(*named));
      parts_.erase(named);
      continue;
    }
    const char* kind = default_trunk(data.kind);
    settled.push_back({data.name, kind, make_trunk(kind)});
  }
  // Names of no part, or of one twice: validate complains.
  std::move(parts_.begin(), parts_.end(), std::back_inserter(settled));
  parts_ = std::move(settled);
}

void JoinedTrunk::describe_part(std::size_t index, FieldVisitor& visitor) {
  Part& part = parts_[index];
  visitor.text(
      "name", part.name, "Which of data.parts; one that is left out has the default model.");
  const auto data = std::find_if(data_parts_.begin(),
                                 data_parts_.end(),
                                 [&](const DataPart& other) { return other.name == part.name; });
  std::vector<std::string> kinds;
  if (data != data_parts_.end()) {
    kinds = trunk_kinds(data->kind);
  } else {
    for (const std::string& source : data::JoinedSource::part_kinds()) {
      for (const std::string& kind : trunk_kinds(source)) {
        if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
      }
    }
  }
  if (part.kind.empty()) part.kind = data == data_parts_.end() ? "mlp" : kinds.front();
  visitor.kind(
      "kind",
      part.kind,
      kinds,
      part.trunk,
      make_trunk,
      "A kind of model for the part's kind of data; default: the first for it. Its options "
      "stand beside it.");
}

void JoinedTrunk::describe(FieldVisitor& model) {
  model.sections(
      "parts",
      parts_.size(),
      [this](std::size_t n) {
        parts_.clear();
        parts_.resize(n);
      },
      [this](std::size_t i, FieldVisitor& visitor) { describe_part(i, visitor); },
      "The models of data.parts, by their names.");
  settle();
  model.choice(
      "join",
      join_,
      {{"concat", Join::kConcat}, {"gated", Join::kGated}},
      "concat: the parts' features one after the other; gated: their weighted sum, the weights "
      "learnt from all of them (gated multimodal units).");
  model.integer(
      "gate_width", gate_width_, {.min = 1, .max = 1e6}, "gated: the width that all parts get.");
  model.numbers(
      "widths",
      widths_,
      {.min = 1, .max = 1e6},
      "Widths of the hidden layers over the joined features; []: none, and then answers are "
      "sums of what each part says.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of activations dropped after each of these layers.");
}

void JoinedTrunk::validate() const {
  if (!widths_.empty()) check_sizes("nn::JoinedTrunk", "widths", widths_, "hidden layer");
  std::vector<std::string> known;
  for (const DataPart& data : data_parts_) known.push_back(data.name);
  // What is wrong with the data's names, prepare hears from the data.
  std::set<std::string> names(known.begin(), known.end());
  if (names.size() < known.size() || names.contains("")) return;
  names.clear();
  for (const Part& part : parts_) {
    DETENTE_CHECK(std::find(known.begin(), known.end(), part.name) != known.end(),
                  ErrorCode::kInvalidArgument,
                  "[nn::JoinedTrunk] model.parts names '{}', which is none of data.parts; {}",
                  part.name,
                  expected_one_of(part.name, known));
    DETENTE_CHECK(names.insert(part.name).second,
                  ErrorCode::kInvalidArgument,
                  "[nn::JoinedTrunk] model.parts names '{}' twice.",
                  part.name);
    in_model_part(part.name, [&] { part.trunk->validate(); });
  }
}

void JoinedTrunk::resolve_paths(const std::filesystem::path& folder) {
  for (Part& part : parts_) {
    in_model_part(part.name, [&] { part.trunk->resolve_paths(folder); });
  }
}

void JoinedTrunk::prepare(data::Source& source) const {
  joined_source(source).check_options();
  data::JoinedSource& joined = *joined_of(source);
  DETENTE_CHECK(joined.part_names() == part_names(),
                ErrorCode::kInvalidArgument,
                "[nn::JoinedTrunk] the model has the parts {}, the data {}; expected the same.",
                join_names(part_names()),
                join_names(joined.part_names()));
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    in_model_part(parts_[i].name, [&] { parts_[i].trunk->prepare(joined.part(i)); });
  }
}

void JoinedTrunk::build(const data::Source& fitted, Draw& draw) {
  validate();
  const data::JoinedSource& joined = joined_source(fitted);
  DETENTE_CHECK(joined.part_names() == part_names(),
                ErrorCode::kInternal,
                "[nn::JoinedTrunk] built for other parts.");
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    in_model_part(parts_[i].name, [&] { parts_[i].trunk->build(joined.part(i), draw); });
    parts_[i].may_lack = joined.may_lack(i);
  }
  own_layers_ = Parameters();
  const std::int64_t all = joined_width();
  if (join_ == Join::kGated) {
    for (const Part& part : parts_) {
      const std::int64_t own = part.trunk->width();
      own_layers_.add(projection_name(part.name),
                      draw.uniform({gate_width_, own}, 1.0 / std::sqrt(static_cast<double>(own))));
      own_layers_.add(gate_name(part.name),
                      draw.uniform({gate_width_, all}, 1.0 / std::sqrt(static_cast<double>(all))));
    }
  }
  std::int64_t in = join_ == Join::kGated ? gate_width_ : all;
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(widths_[i]);
    own_layers_.add_linear(draw, joined_layer(i), in, out);
    in = out;
  }
  gather();
}

void JoinedTrunk::gather() {
  parameters_ = Parameters();
  for (const Part& part : parts_) {
    if (part.trunk != nullptr) {
      parameters_.adopt("parts." + part.name + ".", part.trunk->parameters());
    }
  }
  parameters_.adopt("", own_layers_);
}

void JoinedTrunk::start_from(const data::Source& training, Rng& rng) {
  const data::JoinedSource& joined = joined_source(training);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    in_model_part(parts_[i].name, [&] { parts_[i].trunk->start_from(joined.part(i), rng); });
  }
}

std::string JoinedTrunk::long_start() const {
  std::string text;
  for (const Part& part : parts_) {
    const std::string one = part.trunk->long_start();
    if (!one.empty()) text += (text.empty() ? "" : " ") + one;
  }
  return text;
}

std::vector<std::string> JoinedTrunk::part_names() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) names.push_back(part.name);
  return names;
}

std::int64_t JoinedTrunk::marks() const {
  return std::count_if(
      parts_.begin(), parts_.end(), [](const Part& part) { return part.may_lack; });
}

std::int64_t JoinedTrunk::joined_width() const {
  std::int64_t width = marks();
  for (const Part& part : parts_) width += part.trunk->width();
  return width;
}

std::int64_t JoinedTrunk::width() const {
  if (!widths_.empty()) return static_cast<std::int64_t>(widths_.back());
  return join_ == Join::kGated ? gate_width_ : joined_width();
}

std::vector<double> JoinedTrunk::learning_rates() const {
  std::vector<double> rates;
  bool any = false;
  for (const Part& part : parts_) {
    std::vector<double> own = part.trunk->learning_rates();
    any = any || !own.empty();
    own.resize(part.trunk->parameters().trained().size(), 1.0);
    rates.insert(rates.end(), own.begin(), own.end());
  }
  if (!any) return {};
  rates.resize(parameters_.trained().size(), 1.0);
  return rates;
}

void JoinedTrunk::to(tensor::Device device, tensor::DType dtype) {
  for (Part& part : parts_) part.trunk->to(device, dtype);
  own_layers_.to(device, dtype);
  gather();
}

at::Tensor JoinedTrunk::joined(const TensorList& features,
                               const at::Tensor& marks,
                               Dropout& drop) const {
  TensorList all = features;
  if (marks.defined()) all.push_back(marks);
  at::Tensor x = all.size() == 1 ? all.front() : torch::cat(all, 1);
  if (join_ == Join::kGated) {
    const at::Tensor seen = x;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::string& name = parts_[i].name;
      const at::Tensor own =
          torch::tanh(torch::linear(features[i], own_layers_(projection_name(name)))) *
          torch::sigmoid(torch::linear(seen, own_layers_(gate_name(name))));
      x = i == 0 ? own : x + own;
    }
  }
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    x = drop(torch::relu(own_layers_.linear(x, joined_layer(i))), dropout_);
  }
  return x;
}

std::vector<TensorList> JoinedTrunk::part_views(const data::Batch& batch,
                                                Rng* random,
                                                bool all_views) const {
  const data::Array& present = data::array_of(batch, data::kPresent);
  const std::size_t rows = present.shape.at(0);
  DETENTE_CHECK(rows > 0 && present.shape.at(1) == parts_.size(),
                ErrorCode::kShape,
                "[nn::JoinedTrunk] a batch needs at least one example of {} parts; got {} of {}.",
                parts_.size(),
                rows,
                present.shape.at(1));
  const auto& has = std::get<std::vector<std::uint8_t>>(present.values);
  std::vector<TensorList> of_parts;
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    const Trunk& trunk = *parts_[p].trunk;
    // Where in [0, f of those that have the part] each example's features are.
    std::vector<std::int64_t> places;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      places.push_back(has[i * parts_.size() + p] == 0 ? 0 : ++count);
    }
    const at::TensorOptions type = trunk.parameters().trained().front().second.options();
    const auto zeros = [&](std::int64_t n) {
      return torch::zeros({n, trunk.width()}, type.requires_grad(false));
    };
    const std::optional<at::Tensor>& stand_in = parts_[p].stand_in;
    if (count == 0 || (stand_in && !stand_in->defined())) {
      of_parts.push_back({zeros(static_cast<std::int64_t>(rows))});
      continue;
    }
    TensorList views;
    if (stand_in) {
      views = {stand_in->to(type.requires_grad(false)).expand({count, trunk.width()})};
    } else {
      const data::Batch own = data::JoinedSource::part_batch(parts_[p].name, batch);
      views = all_views ? trunk.views(own) : TensorList{trunk.features(own, random)};
    }
    if (count < static_cast<std::int64_t>(rows)) {
      const at::Tensor index = torch::tensor(places, torch::kInt64).to(type.device());
      for (at::Tensor& view : views) {
        view = torch::cat({zeros(1), view}, 0).index_select(0, index);
      }
    }
    of_parts.push_back(std::move(views));
  }
  std::size_t most = 1;
  for (const TensorList& views : of_parts) most = std::max(most, views.size());
  std::vector<TensorList> result(most);
  for (std::size_t v = 0; v < most; ++v) {
    for (const TensorList& views : of_parts) result[v].push_back(views[v % views.size()]);
  }
  return result;
}

at::Tensor JoinedTrunk::marks_of(const data::Batch& batch) const {
  std::vector<std::int64_t> columns;
  std::vector<std::int64_t> counted;
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    if (!parts_[p].may_lack) continue;
    const std::optional<at::Tensor>& stand_in = parts_[p].stand_in;
    columns.push_back(static_cast<std::int64_t>(p));
    counted.push_back(stand_in && !stand_in->defined() ? 0 : 1);
  }
  if (columns.empty()) return {};
  const at::TensorOptions type = parameters_.trained().front().second.options();
  return (tensor_of(data::array_of(batch, data::kPresent))
              .index_select(1, torch::tensor(columns, torch::kInt64)) *
          torch::tensor(counted, torch::kInt64))
      .to(type.requires_grad(false));
}

void JoinedTrunk::take_away(std::size_t part, const at::Tensor& stand_in) {
  Part& one = parts_.at(part);
  DETENTE_CHECK(
      !stand_in.defined() || (stand_in.dim() == 1 && stand_in.size(0) == one.trunk->width()),
      ErrorCode::kShape,
      "[nn::JoinedTrunk] what stands in for part '{}' has {} numbers; expected the {} of its "
      "features.",
      one.name,
      stand_in.numel(),
      one.trunk->width());
  one.stand_in = stand_in;
}

void JoinedTrunk::restore_parts() {
  for (Part& part : parts_) part.stand_in.reset();
}

at::Tensor JoinedTrunk::features(const data::Batch& batch, Rng* random) const {
  const TensorList parts = part_views(batch, random, false).front();
  Dropout drop(random);
  return joined(parts, marks_of(batch), drop);
}

TensorList JoinedTrunk::views(const data::Batch& batch) const {
  Dropout off(nullptr);
  TensorList views;
  for (const TensorList& parts : part_views(batch, nullptr, true)) {
    views.push_back(joined(parts, marks_of(batch), off));
  }
  return views;
}

PortableInputs JoinedTrunk::portable_inputs(const data::Source& fitted) const {
  const data::JoinedSource& joined = joined_source(fitted);
  PortableInputs inputs;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    PortableInputs own = parts_[i].trunk->portable_inputs(joined.part(i));
    for (std::size_t j = 0; j < own.list.size(); ++j) {
      PortableInput& input = own.list[j];
      input.name = input_name(parts_[i].name, input.name, inputs.list);
      // Sizes of parts have nothing to do with each other; that of the batch is one.
      for (std::string& axis : input.axes) {
        if (!axis.empty() && axis != "batch") axis = input.name + "_" + axis;
      }
      inputs.list.push_back(std::move(input));
      inputs.examples.push_back(own.examples[j]);
    }
  }
  if (marks() == 0) return inputs;
  std::string names;
  for (const Part& part : parts_) {
    if (part.may_lack) names += (names.empty() ? "" : ", ") + part.name;
  }
  std::string name = data::kPresent;
  while (std::any_of(inputs.list.begin(), inputs.list.end(), [&](const PortableInput& other) {
    return other.name == name;
  })) {
    name += '_';
  }
  inputs.list.push_back(
      {name, {"batch", ""}, "1 where the example has the part, else 0: " + names});
  inputs.examples.push_back(torch::ones({2, marks()}, torch::kFloat32));
  return inputs;
}

TensorList JoinedTrunk::portable_views(const TensorList& inputs, const data::Source& fitted) const {
  const data::JoinedSource& joined = joined_source(fitted);
  const at::Tensor marks = this->marks() > 0 ? inputs.back() : at::Tensor();
  std::vector<TensorList> of_parts;
  std::size_t begin = 0;
  std::size_t most = 1;
  std::int64_t mark = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const std::size_t count = parts_[i].trunk->portable_inputs(joined.part(i)).list.size();
    const auto first = inputs.begin() + static_cast<std::ptrdiff_t>(begin);
    TensorList views = parts_[i].trunk->portable_views(
        {first, first + static_cast<std::ptrdiff_t>(count)}, joined.part(i));
    if (parts_[i].may_lack) {
      const at::Tensor there = marks.select(1, mark++).unsqueeze(1);
      for (at::Tensor& view : views) view = view * there;
    }
    begin += count;
    most = std::max(most, views.size());
    of_parts.push_back(std::move(views));
  }
  Dropout off(nullptr);
  TensorList result;
  for (std::size_t v = 0; v < most; ++v) {
    TensorList features;
    for (const TensorList& views : of_parts) features.push_back(views[v % views.size()]);
    result.push_back(this->joined(features, marks, off));
  }
  return result;
}

}  // namespace detente::nn
