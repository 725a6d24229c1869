// SPDX-License-Identifier: Apache-2.0
// Losses of other batches, or of a part of the batch: Gram matrices that are known before a step.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <cmath>

namespace detente::engine {

using internal::trainable;

// One gradient per task with respect to the shared parameters, [K, P]; NaN for absent tasks. Of
// several processes the mean over those that have the task.
at::Tensor MultiTaskBackward::Impl::rows_of(std::span<const at::Tensor> given) const {
  DETENTE_CHECK(given.size() == tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} losses, got {}.",
                tasks(),
                given.size());
  const TensorList parameters = trainable(all_shared);
  const tensor::FlatLayout flat(parameters);
  const auto k = static_cast<std::int64_t>(tasks());
  if (parameters.empty()) return at::zeros({k, 0});
  at::Tensor result =
      at::full({k, flat.size()}, kNan, parameters[0].options().requires_grad(false));
  for (std::int64_t i = 0; i < k; ++i) {
    const at::Tensor& loss = given[static_cast<std::size_t>(i)];
    if (!loss.defined()) continue;
    const TensorList found =
        autograd::weighted_gradients({loss}, {1.0}, parameters, /*keep_graph=*/i + 1 < k);
    flat.gather(found, result[i]);
  }
  if (!spread()) return result;
  std::vector<double> having;
  for (std::int64_t i = 0; i < k; ++i) {
    having.push_back(given[static_cast<std::size_t>(i)].defined() ? 1.0 : 0.0);
    if (having.back() == 0) result[i].zero_();
  }
  group->sum(having);
  group->sum(result);
  for (std::int64_t i = 0; i < k; ++i) {
    const double count = having[static_cast<std::size_t>(i)];
    result[i].mul_(count > 0 ? 1.0 / count : kNan);
  }
  return result;
}

IndependentGrams MultiTaskBackward::Impl::independent_grams(
    std::span<const at::Tensor> first, std::span<const at::Tensor> second) const {
  IndependentGrams grams;
  const at::Tensor rows = rows_of(first);
  grams.cross = tensor::inner_products(rows, rows_of(second));
  grams.first = tensor::gram(rows);
  for (std::size_t i = 0; i < tasks(); ++i) {
    if (!first[i].defined() || !second[i].defined()) continue;
    DETENTE_CHECK(std::isfinite(grams.cross(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] independent batches: the gradient of task '{}' is "
                  "not finite in one of the two. Look for square roots or logarithms at 0 in its "
                  "loss, or lower the learning rate.",
                  names()[i]);
  }
  return grams;
}

bool MultiTaskBackward::Impl::estimate_usable() const {
  return solver.needs() != balance::MethodClass::kCoordinates && estimate_good_enough() &&
         covers_present(input.estimate);
}

// How well the estimate would have done, of this step's sketch or of the one given.
void MultiTaskBackward::Impl::measure_estimate(Rng& rng) {
  Matrix estimate = formed.estimate;
  if (estimate.rows() == 0 && covers_present(input.estimate)) estimate = of_present(input.estimate);
  const double cosine = solver.estimate_cosine(estimate, formed.gram, rng);
  if (!std::isfinite(cosine)) return;
  estimate_cosine = cosine;
  report.estimate_cosine = cosine;
}

}  // namespace detente::engine
