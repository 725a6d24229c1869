// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/alignment.h>
#include <torch/types.h>

#include <tuple>

namespace detente::nn {
namespace {

at::Tensor alignment_unit_rows(const at::Tensor& x) {
  return x / x.norm(2, -1, /*keepdim=*/true).clamp_min(1e-6);
}

// (weighted mean, plain mean) of each row's real entries.
std::pair<at::Tensor, at::Tensor> alignment_means(const at::Tensor& values,
                                                  const at::Tensor& mask,
                                                  const at::Tensor& weight) {
  const at::Tensor ones = mask.to(values.scalar_type());
  return {(values * weight).sum(1) / weight.sum(1).clamp_min(1e-6),
          (values * ones).sum(1) / ones.sum(1).clamp_min(1)};
}

}  // namespace

at::Tensor alignment_features(const at::Tensor& x,
                              const at::Tensor& y,
                              const at::Tensor& x_mask,
                              const at::Tensor& y_mask,
                              const at::Tensor& x_weight,
                              const at::Tensor& y_weight) {
  const at::Tensor cosines =
      torch::bmm(alignment_unit_rows(x), alignment_unit_rows(y).transpose(1, 2));
  // Below every cosine, so that padding never wins.
  constexpr double kNever = -2.0;
  const at::Tensor best_of_x =
      std::get<0>(cosines.masked_fill(y_mask.logical_not().unsqueeze(1), kNever).max(2));
  const at::Tensor best_of_y =
      std::get<0>(cosines.masked_fill(x_mask.logical_not().unsqueeze(2), kNever).max(1));
  const auto [a, a_plain] = alignment_means(best_of_x, x_mask, x_weight);
  const auto [b, b_plain] = alignment_means(best_of_y, y_mask, y_weight);
  return torch::stack({a + b, (a - b).abs(), a_plain + b_plain, a * b}, 1);
}

}  // namespace detente::nn
