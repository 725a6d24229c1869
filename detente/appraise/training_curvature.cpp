// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/training_curvature.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace detente::appraise {
namespace {

TensorList gradients(const TensorList& of,
                     const TensorList& with_respect_to,
                     const TensorList& along,
                     bool differentiable) {
  return torch::autograd::grad(of,
                               with_respect_to,
                               along,
                               /*retain_graph=*/true,
                               differentiable,
                               /*allow_unused=*/true);
}

// Σ ⟨a, b⟩ over those that are defined; undefined where none are.
at::Tensor inner_product(const TensorList& a, const TensorList& b) {
  at::Tensor sum;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].defined() || !b[i].defined()) continue;
    const at::Tensor term = (a[i] * b[i]).sum();
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

// J v for each v: Jᵀu is linear in u, so that its derivative in u along v is Jv, whatever u.
std::vector<TensorList> move_predictions(const TensorList& predictions,
                                         const TensorList& parameters,
                                         const std::vector<TensorList>& along) {
  TensorList u;
  for (const auto& prediction : predictions) {
    u.push_back(at::zeros_like(prediction).requires_grad_());
  }
  const TensorList back = autograd::dense(gradients(predictions, parameters, u, true));
  std::vector<TensorList> moved;
  for (const TensorList& v : along) {
    const at::Tensor slope = inner_product(back, v);
    moved.push_back(slope.defined() && slope.requires_grad() ? gradients({slope}, u, {}, false)
                                                             : TensorList(predictions.size()));
  }
  return moved;
}

}  // namespace

TensorList followed_predictions(const train::TaskLosses& losses) {
  TensorList found;
  for (const auto& prediction : losses.predictions) {
    if (prediction.defined() && prediction.requires_grad()) found.push_back(prediction);
  }
  return found;
}

std::vector<TensorList> curve_predictions(const at::Tensor& part,
                                          const TensorList& predictions,
                                          const std::vector<TensorList>& along) {
  const TensorList slopes = gradients({part}, predictions, {}, true);
  std::vector<TensorList> curved;
  for (const TensorList& z : along) {
    const at::Tensor slope = inner_product(slopes, z);
    curved.push_back(slope.defined() && slope.requires_grad()
                         ? gradients({slope}, predictions, {}, false)
                         : TensorList(predictions.size()));
  }
  return curved;
}

TrainingCurvature::TrainingCurvature(const Judged& judged, const data::Source& training)
    : judged_(judged),
      training_(training),
      parameters_(judged.parameters()),
      rows_(judged.recipe.tasks.size(), 0.0) {
  for (const auto& parameter : parameters_) size_ += static_cast<std::size_t>(parameter.numel());
  const at::NoGradGuard no_grad;
  judged.each_batch([&](const data::RowList& rows) {
    const train::TaskLosses losses = judged.judge.losses().of_rows(training, rows);
    for (std::size_t k = 0; k < rows_.size(); ++k) {
      if (!losses.values[k].defined()) continue;
      const auto value = losses.values[k].item<double>();
      DETENTE_CHECK(std::isfinite(value),
                    ErrorCode::kNumeric,
                    "[appraise] task {} has the loss {} on training rows {} to {}: there is no "
                    "curvature to divide by. Look for rows with numbers far from all others, and "
                    "whether the run diverged.",
                    judged.recipe.tasks[k].name,
                    value,
                    rows.front(),
                    rows.back());
      rows_[k] += losses.rows[k];
    }
    return true;
  });
  DETENTE_CHECK(std::any_of(rows_.begin(), rows_.end(), [](double n) { return n > 0; }),
                ErrorCode::kInvalidArgument,
                "[appraise] no training row has a target of any task: there is nothing to value.");
}

void TrainingCurvature::each_batch(const std::function<bool(const TrainingBatch&)>& look) const {
  judged_.each_batch([&](const data::RowList& rows) {
    TrainingBatch batch{.rows = rows};
    batch.losses = judged_.judge.losses().of_rows(training_, batch.rows);
    for (std::size_t k = 0; k < rows_.size(); ++k) {
      const at::Tensor& loss = batch.losses.values[k];
      if (!loss.defined() || !loss.requires_grad()) continue;
      const at::Tensor share = loss * (batch.losses.rows[k] / rows_[k]);
      batch.part = batch.part.defined() ? batch.part + share : share;
    }
    return look(batch);
  });
}

std::vector<valuation::Vector> TrainingCurvature::operator()(
    std::span<const valuation::Vector> vectors) const {
  std::vector<TensorList> along;
  for (const auto& vector : vectors) along.push_back(shaped(vector));
  std::vector<TensorList> sums(vectors.size(), TensorList(parameters_.size()));
  each_batch([&](const TrainingBatch& batch) {
    if (!batch.part.defined()) return true;
    const TensorList predictions = followed_predictions(batch.losses);
    std::vector<TensorList> moved;
    try {
      moved = move_predictions(predictions, parameters_, along);
    } catch (const c10::Error& error) {
      fail(ErrorCode::kUnsupported,
           "[appraise] LibTorch has no derivative of a gradient in this network ({}); "
           "--solver ekfac needs none.",
           error.what_without_backtrace());
    }
    const std::vector<TensorList> curved = curve_predictions(batch.part, predictions, moved);
    for (std::size_t i = 0; i < curved.size(); ++i) {
      TensorList roots;
      TensorList factors;
      for (std::size_t h = 0; h < predictions.size(); ++h) {
        if (!curved[i][h].defined()) continue;
        roots.push_back(predictions[h]);
        factors.push_back(curved[i][h]);
      }
      if (roots.empty()) continue;
      const TensorList found = autograd::dense(gradients(roots, parameters_, factors, false));
      for (std::size_t p = 0; p < found.size(); ++p) {
        if (!found[p].defined()) continue;
        sums[i][p] = sums[i][p].defined() ? sums[i][p] + found[p] : found[p];
      }
    }
    return true;
  });
  std::vector<valuation::Vector> result;
  for (const TensorList& sum : sums) result.push_back(flat(sum));
  return result;
}

valuation::Vector TrainingCurvature::flat(const TensorList& tensors) const {
  const at::NoGradGuard no_grad;
  valuation::Vector all(size_, 0.0);
  double* place = all.data();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (tensors[p].defined()) {
      const at::Tensor own = tensors[p].detach().to(at::kCPU, at::kDouble).contiguous();
      std::copy_n(own.data_ptr<double>(), own.numel(), place);
    }
    place += parameters_[p].numel();
  }
  return all;
}

TensorList TrainingCurvature::shaped(const valuation::Vector& vector) const {
  const at::NoGradGuard no_grad;
  TensorList all;
  const double* place = vector.data();
  for (const auto& parameter : parameters_) {
    at::Tensor own = at::empty(parameter.sizes(), at::TensorOptions(at::kDouble));
    std::copy_n(place, own.numel(), own.data_ptr<double>());
    place += own.numel();
    all.push_back(own.to(parameter.options().requires_grad(false)));
  }
  return all;
}

}  // namespace detente::appraise
