// SPDX-License-Identifier: Apache-2.0
// The losses of a recipe's tasks with labels, from what the model said and the labels there are.
#pragma once

#include <detente/data/batches.h>
#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/tensor/device.h>
#include <detente/train/loss_source.h>
#include <detente/train/recipe.h>

#include <vector>

namespace detente::train {

// What it is made from must outlive it, but for `training`.
class HeadLosses {
 public:
  // `training`: the rows that weights of classes are taken from.
  HeadLosses(const Recipe& recipe,
             const data::Source& training,
             const nn::Model& model,
             tensor::Device device,
             tensor::DType dtype);

  // Adds each task's value and rows, in the recipe's order, after the task's factor (tasks.weight);
  // in the parameters' type. `labels` as make_targets gives them, `predictions` as Model::forward.
  void add(const TensorList& labels, const TensorList& predictions, TaskLosses& losses) const;

  // Of rows of any source with the model's encoding, as a trained model sees them: without any chance.
  TaskLosses of_rows(const data::Source& source, const data::RowList& rows) const;

 private:
  const Recipe& recipe_;
  const nn::Model& model_;
  tensor::Device device_;
  tensor::DType dtype_;
  std::vector<std::vector<double>> class_weights_;  // per task, empty: none
};

}  // namespace detente::train
