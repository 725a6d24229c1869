// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of losses.
#pragma once

#include <detente/losses/registry.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace detente::losses {

inline constexpr double kNanTarget = std::numeric_limits<double>::quiet_NaN();

inline at::Tensor numbers(const std::vector<double>& values) {
  return torch::tensor(values, torch::kDouble);
}

inline std::unique_ptr<Loss> loss_with(
    const std::string& name, const std::vector<std::pair<std::string, std::string>>& options = {}) {
  auto loss = make_loss(name);
  for (const auto& [key, value] : options) {
    set_field([&](FieldVisitor& visitor) { loss->describe(visitor); }, key, value, "[test]");
  }
  return loss;
}

inline at::Tensor loss_gradient(const Loss& loss, const at::Tensor& p, const at::Tensor& y) {
  const auto x = p.detach().clone().requires_grad_();
  loss(x, y).backward();
  return x.grad();
}

// Central differences; the error of a smooth loss is of order step² ≈ 1e-10.
inline void expect_gradient_matches_differences(const Loss& loss,
                                                const at::Tensor& p,
                                                const at::Tensor& y) {
  constexpr double kStep = 1e-5;
  const auto gradient = loss_gradient(loss, p, y).reshape({-1});
  for (std::int64_t i = 0; i < p.numel(); ++i) {
    const auto shifted = [&](double step) {
      auto x = p.detach().clone();
      x.view({-1})[i] += step;
      return loss(x, y).item<double>();
    };
    const double slope = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
    EXPECT_NEAR(gradient[i].item<double>(), slope, 1e-8) << loss.name() << " entry " << i;
  }
}

}  // namespace detente::losses
