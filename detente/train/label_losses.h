// SPDX-License-Identifier: Apache-2.0
// The losses of a recipe's tasks on the labels of the training rows.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/tensor/device.h>
#include <detente/train/loss_source.h>
#include <detente/train/recipe.h>

namespace detente::train {

// What it is made from must outlive it.
class LabelLosses final : public LossSource {
 public:
  LabelLosses(const Recipe& recipe,
              const data::Source& data,
              const nn::Model& model,
              tensor::Device device,
              tensor::DType dtype)
      : recipe_(recipe), data_(data), model_(model), device_(device), dtype_(dtype) {
    for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
      class_weights_.push_back(recipe.tasks[k].weights_of_classes(data.targets().at(k).values));
    }
  }

  std::vector<std::string> tasks() const override;
  NamedTensors own_parameters(std::size_t task) const override;  // of its head
  // After the tasks' factors (tasks.weight); the losses are computed in the parameters' type,
  // whatever the model computes in.
  TaskLosses operator()(const data::RowList& rows, const StepDraws& draws) override;

 private:
  const Recipe& recipe_;
  const data::Source& data_;
  const nn::Model& model_;
  tensor::Device device_;
  tensor::DType dtype_;
  std::vector<std::vector<double>> class_weights_;  // per task, empty: none
};

}  // namespace detente::train
