// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <algorithm>
#include <cmath>

namespace detente::engine {

using internal::kNan;
using internal::Stopwatch;
using internal::trainable;

// One gradient per task with respect to the shared parameters, [K, P]; NaN for absent tasks.
at::Tensor MultiTaskBackward::Impl::rows_of(std::span<const at::Tensor> given) {
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
  return result;
}

bool MultiTaskBackward::Impl::estimate_usable() const {
  return method->needs() != balance::MethodClass::kCoordinates && estimate_good_enough() &&
         covers_present(given_estimate);
}

// That of set_estimate for the tasks present; empty without one.
Matrix MultiTaskBackward::Impl::estimate_given() const {
  return covers_present(given_estimate) ? of_present(given_estimate) : Matrix();
}

// How well the estimate would have done: the cosine of the two directions, from the exact Gram
// matrix. Solving twice must not move the method, so only for those without state or chance.
void MultiTaskBackward::Impl::measure_estimate(const Matrix& estimate, Rng& rng) {
  if (estimate.rows() == 0 || !method->state().is_null()) return;
  Rng copy = rng;
  method->solve(make_problem(estimate, &copy), estimate_result);
  const std::vector<double>& right = result.weights;
  const std::vector<double>& tried = estimate_result.weights;
  const double both = internal::inner_product(right, formed.gram, tried);
  const double exact = internal::inner_product(right, formed.gram, right);
  const double rough = internal::inner_product(tried, formed.gram, tried);
  if (!(exact > 0) || !(rough > 0)) return;
  estimate_cosine = both / std::sqrt(exact) / std::sqrt(rough);
  report.estimate_cosine = estimate_cosine;
}

}  // namespace detente::engine
