// SPDX-License-Identifier: Apache-2.0
// The losses of some training rows, and the ways in which a step picks its rows.
#pragma once

#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <detente/data/pairs.h>
#include <detente/nn/pair_model.h>
#include <detente/tensor/autocast.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>
#include <detente/train/recipe.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace detente::train {

// A share of a batch's rows, at least one, spread evenly: batches are sorted by length.
data::RowList part_of(const data::RowList& rows, double share);

// The batch in n parts of neighbouring rows whose sizes differ by one at most; fewer parts where
// there are fewer rows.
std::vector<data::RowList> micro_batches(const data::RowList& rows, std::int64_t n);

struct TaskLosses {
  TensorList values;         // a scalar per task, undefined where no row has a target
  std::vector<double> rows;  // with a target, per task
};

// Each task's mean over the rows of all parts: for losses that are means over rows, what they are
// on all rows at once.
TensorList joined_losses(const std::vector<TaskLosses>& parts);

// What it is made from must outlive it.
class StepLosses {
 public:
  StepLosses(const Recipe& recipe,
             const data::PairData& data,
             const nn::PairModel& model,
             tensor::Device device,
             tensor::DType dtype)
      : recipe_(recipe), data_(data), model_(model), device_(device), dtype_(dtype) {}

  // With their graph, after the tasks' factors. The model computes as `precision` says (nothing:
  // all in the parameters' type), the losses always in the parameters' type.
  TaskLosses operator()(const data::RowList& rows,
                        Rng dropout,
                        std::optional<tensor::LowPrecision> precision) const;

 private:
  const Recipe& recipe_;
  const data::PairData& data_;
  const nn::PairModel& model_;
  tensor::Device device_;
  tensor::DType dtype_;
};

}  // namespace detente::train
