// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/control/squashed_gaussian.h>
#include <detente/core/error.h>

#include <cmath>
#include <numbers>

namespace detente::control {

DrawnActions draw_actions(const at::Tensor& raw,
                          const at::Tensor& noise,
                          const DeviationBounds& bounds) {
  DETENTE_CHECK(raw.dim() == 2 && noise.dim() == 2 && raw.size(0) == noise.size(0) &&
                    raw.size(1) == 2 * noise.size(1),
                ErrorCode::kShape,
                "[control::draw_actions] expected [N, 2A] and noise of [N, A].");
  const std::int64_t count = noise.size(1);
  const at::Tensor mean = raw.narrow(1, 0, count);
  const double half = (bounds.high - bounds.low) / 2;
  const at::Tensor log_deviation = raw.narrow(1, count, count).tanh() * half + (bounds.low + half);
  const at::Tensor u = mean + log_deviation.exp() * noise;
  // −log(1 − tanh² u) without what does not depend on u.
  const at::Tensor stretch = (u + at::softplus(u * -2)) * 2;
  const double constant = -0.5 * std::log(2 * std::numbers::pi) - 2 * std::numbers::ln2;
  const at::Tensor each = noise * noise * -0.5 - log_deviation + stretch + constant;
  return {.actions = u.tanh(), .log_probability = each.sum(1)};
}

at::Tensor mean_actions(const at::Tensor& raw) { return raw.narrow(1, 0, raw.size(1) / 2).tanh(); }

}  // namespace detente::control
