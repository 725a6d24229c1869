// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/model.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

namespace detente::nn {
namespace {

std::vector<std::string> task_names(const std::vector<TaskHead>& heads) {
  std::vector<std::string> names;
  for (const TaskHead& head : heads) names.push_back(head.name);
  return names;
}

void append(NamedTensors& list, const NamedTensors& more) {
  list.insert(list.end(), more.begin(), more.end());
}

}  // namespace

Model::Model(std::unique_ptr<Trunk> trunk,
             std::vector<TaskHead> heads,
             const data::Source& fitted,
             std::uint64_t seed,
             std::unique_ptr<Sharing> sharing)
    : trunk_(std::move(trunk)), sharing_(std::move(sharing)) {
  if (sharing_ == nullptr) sharing_ = make_sharing(sharing_kinds().front());
  trunk_->validate();
  std::vector<std::string> names;
  for (const TaskHead& head : heads) {
    names.push_back(head.name);
    DETENTE_CHECK(
        trunk_->maps() || !is_map(head.options.kind),
        ErrorCode::kInvalidArgument,
        "[nn::Model] task '{}' has an answer for each pixel ({}); model.kind {} looks at an "
        "example as a whole. Use data.kind: dense with one of its models.",
        head.name,
        detente::name_of(head.options.kind),
        trunk_->kind());
  }
  DETENTE_CHECK(
      !trunk_->maps() || std::string_view(sharing_->kind()) == sharing_kinds().front(),
      ErrorCode::kInvalidArgument,
      "[nn::Model] model.sharing {} takes one vector of features; model.kind {} has features "
      "for each pixel. Use model.sharing: hard, or model.kind: mtan, which shares in its own "
      "way.",
      sharing_->kind(),
      trunk_->kind());
  trunk_->set_tasks(names);
  Rng rng = initial_rng(seed);
  Draw draw(rng);
  trunk_->build(fitted, draw);
  sharing_->build(trunk_->width(), names, draw);
  heads_ = Heads(std::move(heads), sharing_->width(trunk_->width()), draw);
}

Model::Model(std::unique_ptr<Trunk> trunk, Heads heads)
    : Model(std::move(trunk), make_sharing(sharing_kinds().front()), std::move(heads)) {
  Rng unused = initial_rng(0);  // nothing is drawn
  Draw draw(unused);
  sharing_->build(trunk_->width(), task_names(heads_.tasks()), draw);
}

Model::Model(std::unique_ptr<Trunk> trunk, std::unique_ptr<Sharing> sharing, Heads heads)
    : trunk_(std::move(trunk)), sharing_(std::move(sharing)), heads_(std::move(heads)) {}

Rng Model::initial_rng(std::uint64_t seed) { return Rng(seed).fork(0x6d6f64656c); }

Model Model::clone() const { return {trunk_->clone(), sharing_->clone(), Heads(heads_)}; }

TensorList Model::forward(const data::Batch& batch, Rng* random, at::Tensor* features) const {
  if (trunk_->per_task()) return heads_(trunk_->task_features(batch, random));
  const at::Tensor shared = trunk_->features(batch, random);
  if (features != nullptr) *features = shared;
  return heads_((*sharing_)(shared));
}

std::vector<Matrix> Model::predict(const data::Batch& batch) const {
  const torch::NoGradGuard no_grad;
  if (!trunk_->per_task()) return predict(trunk_->views(batch));
  TensorList predictions = heads_(trunk_->task_features(batch));
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    predictions[k] = heads_.answer(k, predictions[k]);
  }
  return numbers_of(predictions);
}

TensorList Model::answers(const TensorList& views) const {
  TensorList predictions;
  if (trunk_->per_task()) predictions = heads_(views);
  for (const at::Tensor& features : views) {
    if (trunk_->per_task()) break;
    const TensorList one = heads_((*sharing_)(features));
    if (predictions.empty()) {
      predictions = one;
      continue;
    }
    for (std::size_t k = 0; k < one.size(); ++k) predictions[k] = predictions[k] + one[k];
  }
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    at::Tensor& y = predictions[k];
    if (views.size() > 1 && !trunk_->per_task()) y = (1.0 / static_cast<double>(views.size())) * y;
    y = heads_.answer(k, y);
  }
  return predictions;
}

std::vector<Matrix> Model::predict(const TensorList& views) const {
  const torch::NoGradGuard no_grad;
  return numbers_of(answers(views));
}

std::vector<Matrix> Model::numbers_of(const TensorList& answers) const {
  std::vector<Matrix> results;
  for (std::size_t k = 0; k < answers.size(); ++k) {
    const TaskKind kind = heads_.tasks()[k].options.kind;
    at::Tensor y = answers[k];
    if (kind == TaskKind::kSegmentation) y = y.argmax(1);
    if (is_map(kind)) y = y.flatten(1);
    y = y.to(torch::kCPU, torch::kFloat64).contiguous();
    Matrix result(static_cast<std::size_t>(y.size(0)),
                  y.dim() == 1 ? 1 : static_cast<std::size_t>(y.size(1)));
    std::copy_n(y.data_ptr<double>(), y.numel(), result.data());
    results.push_back(std::move(result));
  }
  return results;
}

void Model::start_from(const data::Source& training, Rng& rng) {
  trunk_->start_from(training, rng);
  for (std::size_t k = 0; k < heads_.size(); ++k) {
    const data::Target& target = training.targets().at(k);
    if (target.map) {
      heads_.set_initial_map(k, target.map->means);
    } else {
      heads_.start_from(k, target.values);
    }
  }
}

TensorList Model::shared_parameters() const {
  TensorList tensors;
  for (const auto& [name, tensor] : named_shared_parameters()) tensors.push_back(tensor);
  return tensors;
}

TensorList Model::head_parameters(std::size_t head) const {
  TensorList tensors;
  for (const auto& [name, tensor] : named_head_parameters(head)) tensors.push_back(tensor);
  return tensors;
}

NamedTensors Model::named_shared_parameters() const {
  NamedTensors named = trunk_->parameters().trained();
  append(named, sharing_->shared().trained());
  return named;
}

NamedTensors Model::named_head_parameters(std::size_t head) const {
  NamedTensors named = heads_.parameters(head).trained();
  append(named, sharing_->own(head).trained());
  if (!trunk_->own().empty()) append(named, trunk_->own().at(head).trained());
  return named;
}

std::vector<double> Model::shared_learning_rates() const {
  std::vector<double> rates = trunk_->learning_rates();
  if (!rates.empty()) rates.resize(rates.size() + sharing_->shared().trained().size(), 1.0);
  return rates;
}

std::int64_t Model::parameter_count() const {
  std::int64_t count = trunk_->parameters().trained_count() + sharing_->shared().trained_count();
  for (const Parameters& own : trunk_->own()) count += own.trained_count();
  for (std::size_t k = 0; k < heads_.size(); ++k) {
    count += heads_.parameters(k).trained_count() + sharing_->own(k).trained_count();
  }
  return count;
}

NamedTensors Model::state() const {
  NamedTensors state = named_shared_parameters();
  for (std::size_t k = 0; k < heads_.size(); ++k) append(state, named_head_parameters(k));
  append(state, trunk_->parameters().fixed());
  for (const Parameters& own : trunk_->own()) append(state, own.fixed());
  for (std::size_t k = 0; k < heads_.size(); ++k) append(state, heads_.parameters(k).fixed());
  return state;
}

void Model::load_state(const NamedTensors& state) { load_named(state, this->state()); }

void Model::to(tensor::Device device, tensor::DType dtype) {
  trunk_->to(device, dtype);
  sharing_->to(device, dtype);
  heads_.to(device, dtype);
}

}  // namespace detente::nn
