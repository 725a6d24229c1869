// SPDX-License-Identifier: Apache-2.0
#include <detente/train/corpus.h>
#include <detente/train/label_losses.h>
#include <torch/types.h>

#include <optional>

namespace detente::train {
namespace {

constexpr std::uint64_t kAugmentStream = 0x6175676d;

}  // namespace

std::vector<std::string> LabelLosses::tasks() const {
  std::vector<std::string> names;
  for (const TaskRecipe& task : recipe_.tasks) names.push_back(task.name);
  return names;
}

NamedTensors LabelLosses::own_parameters(std::size_t task) const {
  return model_.named_head_parameters(task);
}

TaskLosses LabelLosses::operator()(const data::RowList& rows, const StepDraws& draws) {
  Rng dropout = draws.rng;
  const Rng augment = draws.examples.fork(kAugmentStream);
  const data::Batch batch = data_.batch(rows, &augment);
  const TensorList labels = make_targets(data_, rows, &augment);
  TensorList predictions;
  {
    std::optional<tensor::Autocast> autocast;
    if (draws.precision) autocast.emplace(device_, *draws.precision);
    predictions = model_.forward(batch, &dropout);
  }
  TaskLosses losses;
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    losses::LossInfo info;
    const at::Tensor target =
        model_.heads().loss_target(k, labels[k]).to(tensor::tensor_options(device_, dtype_));
    const at::Tensor prediction = predictions[k].to(target.scalar_type());
    at::Tensor loss = (*recipe_.tasks[k].loss)(prediction, target, &info, class_weights_[k]);
    if (loss.defined() && recipe_.tasks[k].weight != 1.0) loss = loss * recipe_.tasks[k].weight;
    losses.values.push_back(std::move(loss));
    losses.rows.push_back(static_cast<double>(info.rows));
  }
  return losses;
}

}  // namespace detente::train
