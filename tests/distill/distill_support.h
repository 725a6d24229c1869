// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of self-distillation: numbers without order, gradients and differences.
#pragma once

#include <detente/core/rng.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace detente::distill {

// Standard normal, float64.
inline at::Tensor noise(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  Rng rng(seed);
  at::Tensor tensor = torch::empty(shape, torch::kDouble);
  double* data = tensor.data_ptr<double>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) data[i] = rng.normal();
  return tensor;
}

inline at::Tensor gradient_of(const std::function<at::Tensor(const at::Tensor&)>& function,
                              const at::Tensor& at) {
  const at::Tensor x = at.detach().clone().requires_grad_();
  function(x).backward();
  return x.grad();
}

// Central differences of a scalar function in float64, shaped as `at`.
inline at::Tensor differences_of(const std::function<at::Tensor(const at::Tensor&)>& function,
                                 const at::Tensor& at) {
  constexpr double kStep = 1e-5;
  at::Tensor result = torch::zeros_like(at);
  for (std::int64_t i = 0; i < at.numel(); ++i) {
    const auto shifted = [&](double step) {
      at::Tensor x = at.detach().clone();
      x.view({-1})[i] += step;
      return function(x).item<double>();
    };
    result.view({-1})[i] = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
  }
  return result;
}

inline double largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

inline double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  return largest(a - b);
}

}  // namespace detente::distill
