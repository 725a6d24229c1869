// SPDX-License-Identifier: Apache-2.0
#include <detente/control/squashed_gaussian.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace detente::control {
namespace {

const auto kDouble = torch::kFloat64;

// Noise that a standard normal at these places of a fine grid has, and one action.
TEST(SquashedGaussian, DensityIntegratesToOne) {
  const std::int64_t n = 40001;
  const at::Tensor noise = torch::linspace(-9, 9, n, kDouble).unsqueeze(1);
  for (const double mean : {-2.0, 0.0, 0.7}) {
    for (const double s : {-0.3, 0.0, 0.4}) {
      const at::Tensor raw = torch::tensor({mean, s}, kDouble).expand({n, 2});
      const DrawnActions drawn = draw_actions(raw, noise, {-3, 1});
      const at::Tensor density = drawn.log_probability.exp();
      EXPECT_NEAR(torch::trapezoid(density, drawn.actions.squeeze(1)).item<double>(), 1.0, 1e-5)
          << mean << " " << s;
    }
  }
}

TEST(SquashedGaussian, SeveralActionsAreIndependent) {
  torch::manual_seed(1);
  const at::Tensor raw = torch::randn({5, 6}, kDouble);
  const at::Tensor noise = torch::randn({5, 3}, kDouble);
  const DeviationBounds bounds;
  const DrawnActions all = draw_actions(raw, noise, bounds);
  at::Tensor sum = torch::zeros({5}, kDouble);
  for (std::int64_t j = 0; j < 3; ++j) {
    const at::Tensor one = torch::stack({raw.select(1, j), raw.select(1, 3 + j)}, 1);
    const DrawnActions drawn = draw_actions(one, noise.narrow(1, j, 1), bounds);
    EXPECT_TRUE(torch::equal(drawn.actions.squeeze(1), all.actions.select(1, j)));
    sum += drawn.log_probability;
  }
  EXPECT_TRUE(torch::allclose(sum, all.log_probability, 1e-12, 1e-12));
}

// Far out tanh is 1 in double precision and 1 - a² has no logarithm.
TEST(SquashedGaussian, FarOutItIsFiniteAndRight) {
  for (const double mean : {-300.0, -20.0, 20.0, 300.0}) {
    at::Tensor raw = torch::tensor({{mean, 0.0}}, kDouble).set_requires_grad(true);
    const at::Tensor noise = torch::zeros({1, 1}, kDouble);
    const DrawnActions drawn = draw_actions(raw, noise, {-1, 1});
    // log σ = 0; log(1 − tanh² u) → 2 log 2 − 2 |u|.
    const double expected = -0.5 * std::log(2 * M_PI) - (2 * std::log(2.0) - 2 * std::abs(mean));
    EXPECT_NEAR(drawn.log_probability.item<double>(), expected, 1e-9 * std::abs(mean));
    drawn.log_probability.sum().backward();
    EXPECT_NEAR(raw.grad()[0][0].item<double>(), mean > 0 ? 2 : -2, 1e-9);
  }
}

TEST(SquashedGaussian, DeviationStaysWithinItsBounds) {
  const at::Tensor noise = torch::full({1, 1}, 1e-3, kDouble);
  for (const auto& [s, deviation] : {std::pair{-50.0, std::exp(-4.0)}, {50.0, std::exp(1.0)}}) {
    const at::Tensor raw = torch::tensor({{0.0, s}}, kDouble);
    const double a = draw_actions(raw, noise, {-4, 1}).actions.item<double>();
    EXPECT_NEAR(std::atanh(a), 1e-3 * deviation, 1e-12);
  }
}

TEST(SquashedGaussian, WrongShapesAreRefused) {
  EXPECT_ANY_THROW(draw_actions(torch::zeros({2, 4}), torch::zeros({2, 3}), {}));
  EXPECT_ANY_THROW(draw_actions(torch::zeros({2, 4}), torch::zeros({3, 2}), {}));
}

}  // namespace
}  // namespace detente::control
