// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/attention.h>
#include <torch/types.h>

namespace detente::nn {

at::Tensor attend(const at::Tensor& query,
                  const at::Tensor& key,
                  const at::Tensor& value,
                  const at::Tensor& blocked) {
  constexpr double kNothing = -6e4;  // within the range of fp16; its exponential is 0
  at::Tensor scores = torch::matmul(query, key.transpose(-2, -1));
  if (blocked.defined()) scores = scores.masked_fill(blocked, kNothing);
  return torch::matmul(torch::softmax(scores, -1), value).transpose(1, 2).flatten(2);
}

at::Tensor token_places(const at::Tensor& ids) {
  return torch::cumsum(torch::ones_like(ids), 1) - 1;
}

}  // namespace detente::nn
