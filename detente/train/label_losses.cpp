// SPDX-License-Identifier: Apache-2.0
#include <detente/train/corpus.h>
#include <detente/train/label_losses.h>
#include <torch/types.h>

#include <optional>

namespace detente::train {

std::vector<std::string> LabelLosses::tasks() const {
  std::vector<std::string> names;
  for (const TaskRecipe& task : recipe_.tasks) names.push_back(task.name);
  return names;
}

NamedTensors LabelLosses::own_parameters(std::size_t task) const {
  const auto names = model_.head_names(task);
  const TensorList tensors = model_.head_parameters(task);
  NamedTensors own;
  for (std::size_t i = 0; i < names.size(); ++i) own.emplace_back(names[i], tensors[i]);
  return own;
}

TaskLosses LabelLosses::operator()(const data::RowList& rows, const StepDraws& draws) {
  Rng dropout = draws.rng;
  const nn::PairBatch batch = make_pair_batch(data_, rows);
  const TensorList targets = make_targets(data_, rows, device_, dtype_);
  TensorList predictions;
  {
    std::optional<tensor::Autocast> autocast;
    if (draws.precision) autocast.emplace(device_, *draws.precision);
    predictions = model_.forward(batch, &dropout);
  }
  TaskLosses losses;
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    losses::LossInfo info;
    const at::Tensor prediction = predictions[k].to(targets[k].scalar_type());
    at::Tensor loss = (*recipe_.tasks[k].loss)(prediction, targets[k], &info);
    if (loss.defined() && recipe_.tasks[k].weight != 1.0) loss = loss * recipe_.tasks[k].weight;
    losses.values.push_back(std::move(loss));
    losses.rows.push_back(static_cast<double>(info.rows));
  }
  return losses;
}

}  // namespace detente::train
