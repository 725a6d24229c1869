// SPDX-License-Identifier: Apache-2.0
#include <detente/losses/loss.h>
#include <detente/train/corpus.h>
#include <detente/train/head_losses.h>
#include <torch/types.h>

#include <utility>

namespace detente::train {

HeadLosses::HeadLosses(const Recipe& recipe,
                       const data::Source& training,
                       const nn::Model& model,
                       tensor::Device device,
                       tensor::DType dtype)
    : recipe_(recipe), model_(model), device_(device), dtype_(dtype) {
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    class_weights_.push_back(recipe_.tasks[k].weights_of_classes(training.targets().at(k).values));
  }
}

void HeadLosses::add(const TensorList& labels,
                     const TensorList& predictions,
                     TaskLosses& losses) const {
  const auto options = tensor::tensor_options(device_, dtype_);
  for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
    losses::LossInfo info;
    const at::Tensor target = model_.heads().loss_target(k, labels[k]).to(options);
    const at::Tensor prediction = predictions[k].to(target.scalar_type());
    at::Tensor loss = (*recipe_.tasks[k].loss)(prediction, target, &info, class_weights_[k]);
    if (loss.defined() && recipe_.tasks[k].weight != 1.0) loss = loss * recipe_.tasks[k].weight;
    losses.values.push_back(std::move(loss));
    losses.rows.push_back(static_cast<double>(info.rows));
  }
}

TaskLosses HeadLosses::of_rows(const data::Source& source, const data::RowList& rows) const {
  TaskLosses losses;
  losses.predictions = model_.forward(source.batch(rows, nullptr));
  add(make_targets(source, rows), losses.predictions, losses);
  return losses;
}

}  // namespace detente::train
