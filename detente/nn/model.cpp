// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/model.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

namespace detente::nn {

Model::Model(std::unique_ptr<Trunk> trunk,
             std::vector<TaskHead> heads,
             const data::Source& fitted,
             std::uint64_t seed)
    : trunk_(std::move(trunk)) {
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
  trunk_->set_tasks(names);
  Rng rng = initial_rng(seed);
  Draw draw(rng);
  trunk_->build(fitted, draw);
  heads_ = Heads(std::move(heads), trunk_->width(), draw);
}

Model::Model(std::unique_ptr<Trunk> trunk, Heads heads)
    : trunk_(std::move(trunk)), heads_(std::move(heads)) {}

Rng Model::initial_rng(std::uint64_t seed) { return Rng(seed).fork(0x6d6f64656c); }

Model Model::clone() const { return {trunk_->clone(), Heads(heads_)}; }

TensorList Model::forward(const data::Batch& batch, Rng* random, at::Tensor* features) const {
  if (trunk_->per_task()) return heads_(trunk_->task_features(batch, random));
  const at::Tensor shared = trunk_->features(batch, random);
  if (features != nullptr) *features = shared;
  return heads_(shared);
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
  for (const at::Tensor& features : views) {
    const TensorList one = heads_(features);
    if (predictions.empty()) {
      predictions = one;
      continue;
    }
    for (std::size_t k = 0; k < one.size(); ++k) predictions[k] = predictions[k] + one[k];
  }
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    at::Tensor& y = predictions[k];
    if (views.size() > 1) y = (1.0 / static_cast<double>(views.size())) * y;
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

TensorList Model::shared_parameters() const { return trunk_->parameters().trained_tensors(); }

TensorList Model::head_parameters(std::size_t head) const {
  TensorList tensors;
  for (const auto& [name, tensor] : named_head_parameters(head)) tensors.push_back(tensor);
  return tensors;
}

const NamedTensors& Model::named_shared_parameters() const {
  return trunk_->parameters().trained();
}

NamedTensors Model::named_head_parameters(std::size_t head) const {
  NamedTensors named = heads_.parameters(head).trained();
  if (trunk_->own().empty()) return named;
  const NamedTensors& more = trunk_->own().at(head).trained();
  named.insert(named.end(), more.begin(), more.end());
  return named;
}

std::int64_t Model::parameter_count() const {
  std::int64_t count = trunk_->parameters().trained_count();
  for (const Parameters& own : trunk_->own()) count += own.trained_count();
  for (std::size_t k = 0; k < heads_.size(); ++k) count += heads_.parameters(k).trained_count();
  return count;
}

NamedTensors Model::state() const {
  NamedTensors state;
  const auto add = [&](const NamedTensors& list) {
    state.insert(state.end(), list.begin(), list.end());
  };
  add(trunk_->parameters().trained());
  for (const Parameters& own : trunk_->own()) {
    add(own.trained());
    add(own.fixed());
  }
  for (std::size_t k = 0; k < heads_.size(); ++k) add(heads_.parameters(k).trained());
  add(trunk_->parameters().fixed());
  for (std::size_t k = 0; k < heads_.size(); ++k) add(heads_.parameters(k).fixed());
  return state;
}

void Model::load_state(const NamedTensors& state) { load_named(state, this->state()); }

void Model::to(tensor::Device device, tensor::DType dtype) {
  trunk_->parameters().to(device, dtype);
  for (Parameters& own : trunk_->own()) own.to(device, dtype);
  heads_.to(device, dtype);
}

}  // namespace detente::nn
