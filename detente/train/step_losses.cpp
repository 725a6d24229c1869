// SPDX-License-Identifier: Apache-2.0
#include <detente/train/corpus.h>
#include <detente/train/step_losses.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace detente::train {

data::RowList part_of(const data::RowList& rows, double share) {
  const auto count = static_cast<std::size_t>(std::ceil(share * static_cast<double>(rows.size())));
  data::RowList part(std::min(count, rows.size()));
  for (std::size_t i = 0; i < part.size(); ++i) part[i] = rows[i * rows.size() / part.size()];
  return part;
}

std::vector<data::RowList> micro_batches(const data::RowList& rows, std::int64_t n) {
  const std::size_t parts = std::min(static_cast<std::size_t>(n), rows.size());
  std::vector<data::RowList> result;
  for (std::size_t i = 0; i < parts; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i * rows.size() / parts);
    const auto end = static_cast<std::ptrdiff_t>((i + 1) * rows.size() / parts);
    result.emplace_back(rows.begin() + begin, rows.begin() + end);
  }
  return result;
}

TensorList joined_losses(const std::vector<TaskLosses>& parts) {
  if (parts.size() == 1) return parts[0].values;
  TensorList joined(parts.empty() ? 0 : parts[0].values.size());
  for (std::size_t k = 0; k < joined.size(); ++k) {
    double rows = 0;
    for (const TaskLosses& part : parts) {
      if (!part.values[k].defined()) continue;
      const at::Tensor term = part.values[k].to(torch::kFloat64) * part.rows[k];
      joined[k] = joined[k].defined() ? joined[k] + term : term;
      rows += part.rows[k];
    }
    if (joined[k].defined()) joined[k] = joined[k] / rows;
  }
  return joined;
}

TaskLosses StepLosses::operator()(const data::RowList& rows,
                                  Rng dropout,
                                  std::optional<tensor::LowPrecision> precision) const {
  const nn::PairBatch batch = make_pair_batch(data_, rows);
  const TensorList targets = make_targets(data_, rows, device_, dtype_);
  TensorList predictions;
  {
    std::optional<tensor::Autocast> autocast;
    if (precision) autocast.emplace(device_, *precision);
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
