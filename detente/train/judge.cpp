// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/train/judge.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
Judge::Judge(const LossContext& context, std::size_t rows)
    : context_(context),
      losses_(context.recipe, *context.corpus.train, context.model, context.device, context.dtype),
      rows_(spread_rows(context.corpus.dev->size(), rows)) {
  DETENTE_CHECK(
      !context.recipe.tasks.empty(),
      ErrorCode::kInvalidArgument,
      "[train::Judge] examples are judged by the tasks' losses on validation rows, and the "
      "recipe has no task with labels.");
  for (std::size_t m = 0; m < context.recipe.tasks.size(); ++m) {
    const auto& values = context.corpus.dev->targets().at(m).values;
    const bool map = values.empty();
    const auto known = [](double v) { return !std::isnan(v); };
    if (map || std::any_of(values.begin(), values.end(), known)) tasks_.push_back(m);
  }
  DETENTE_CHECK(
      !tasks_.empty(),
      ErrorCode::kInvalidArgument,
      "[train::Judge] no validation row has a target of any task: there is nothing to judge "
      "examples by.");
}

std::vector<TensorList> Judge::gradients(const TensorList& parameters,
                                         const TensorList* along) const {
  std::vector<TensorList> found(tasks_.size(), TensorList(parameters.size()));
  std::vector<double> rows(tasks_.size(), 0.0);
  const auto batch =
      static_cast<std::size_t>(std::max<std::int64_t>(1, context_.recipe.loop.batches.batch_size));
  for (std::size_t begin = 0; begin < rows_.size(); begin += batch) {
    const data::RowList some(
        rows_.begin() + static_cast<std::ptrdiff_t>(begin),
        rows_.begin() + static_cast<std::ptrdiff_t>(std::min(rows_.size(), begin + batch)));
    const TaskLosses losses = losses_.of_rows(*context_.corpus.dev, some);
    for (std::size_t j = 0; j < tasks_.size(); ++j) {
      const at::Tensor& loss = losses.values[tasks_[j]];
      if (!loss.defined()) continue;
      TensorList gradients = torch::autograd::grad({loss},
                                                   parameters,
                                                   {},
                                                   /*retain_graph=*/true,
                                                   /*create_graph=*/along != nullptr,
                                                   /*allow_unused=*/true);
      if (along != nullptr) {
        at::Tensor slope;
        for (std::size_t p = 0; p < parameters.size(); ++p) {
          if (!gradients[p].defined() || !(*along)[p].defined()) continue;
          const at::Tensor term = (gradients[p] * (*along)[p]).sum();
          slope = slope.defined() ? slope + term : term;
        }
        if (!slope.defined() || !slope.requires_grad()) continue;
        gradients = torch::autograd::grad({slope}, parameters, {}, true, false, true);
      }
      const at::NoGradGuard no_grad;
      const double n = losses.rows[tasks_[j]];
      rows[j] += n;
      for (std::size_t p = 0; p < parameters.size(); ++p) {
        if (!gradients[p].defined()) continue;
        at::Tensor dense = gradients[p].is_sparse() ? gradients[p].to_dense() : gradients[p];
        at::Tensor& sum = found[j][p];
        sum = sum.defined() ? sum.add_(dense, n) : dense.detach() * n;
      }
    }
  }
  for (std::size_t j = 0; j < tasks_.size(); ++j) {
    for (auto& sum : found[j]) {
      if (sum.defined() && rows[j] > 0) sum.div_(rows[j]);
    }
  }
  return found;
}

}  // namespace detente::train
