// SPDX-License-Identifier: Apache-2.0
#include <detente/losses/correlation.h>

#include <cmath>

#include "loss_support.h"
#include "tests/support/tolerances.h"

namespace detente::losses {
namespace {

using test::kRounding;

const at::Tensor& correlation_p() {
  static const at::Tensor p = numbers({0.3, 2.2, 1.1, 4.0, 3.6, 0.9});
  return p;
}
const at::Tensor& correlation_y() {
  static const at::Tensor y = numbers({0.0, 3.0, 0.8, 4.2, 5.0, 2.4});
  return y;
}

double pearson(const at::Tensor& p, const at::Tensor& y) {
  const auto a = p - p.mean();
  const auto b = y - y.mean();
  return (a.dot(b) / (a.norm() * b.norm())).item<double>();
}

TEST(Correlation, IsTheWeightedSumOfItsTwoTerms) {
  const auto& p = correlation_p();
  const auto& y = correlation_y();
  const double rho = pearson(p, y);
  const double mae = (p - y).abs().mean().item<double>();
  for (const double alpha : {0.0, 0.25, 1.0}) {
    const auto loss = loss_with("correlation", {{"alpha", std::to_string(alpha)}});
    LossInfo info;
    EXPECT_NEAR(
        (*loss)(p, y, &info).item<double>(), (1 - alpha) * (1 - rho) + alpha * mae, kRounding);
    EXPECT_FALSE(info.correlation_skipped);
    EXPECT_EQ(info.rows, 6);
  }
}

TEST(Correlation, GradientIsTheClosedForm) {
  const auto p = correlation_p();
  const auto y = correlation_y();
  const auto a = p - p.mean();
  const auto b = y - y.mean();
  const double rho = pearson(p, y);
  const auto slope = (b / b.norm() - rho * a / a.norm()) / a.norm();
  for (const double alpha : {0.0, 0.5}) {
    const auto loss = loss_with("correlation", {{"alpha", std::to_string(alpha)}});
    const auto expected = -(1 - alpha) * slope + alpha * torch::sign(p - y) / 6;
    EXPECT_TRUE(torch::allclose(loss_gradient(*loss, p, y), expected, 0, kRounding));
    expect_gradient_matches_differences(*loss, p, y);
  }
}

TEST(Correlation, GradientIsBlindToOffsetAndScaleAndHasItsKnownNorm) {
  const auto loss = loss_with("correlation", {{"alpha", "0"}});
  const auto p = correlation_p();
  const auto y = correlation_y();
  const auto gradient = loss_gradient(*loss, p, y);
  const auto a = p - p.mean();
  const double rho = pearson(p, y);
  EXPECT_NEAR(gradient.sum().item<double>(), 0, kRounding);
  EXPECT_NEAR(gradient.dot(a).item<double>(), 0, kRounding);
  EXPECT_NEAR(gradient.norm().item<double>(),
              std::sqrt(1 - rho * rho) / a.norm().item<double>(),
              kRounding);
  const double value = (*loss)(p, y).item<double>();
  EXPECT_NEAR((*loss)(p * 3 + 7, y).item<double>(), value, kRounding);
  EXPECT_NEAR((*loss)(p, y * 20 - 100).item<double>(), value, kRounding);
  EXPECT_NEAR((*loss)(-p, y).item<double>(), 2 - value, kRounding);
}

TEST(Correlation, VanishesAtPerfectCorrelation) {
  const auto loss = loss_with("correlation", {{"alpha", "0"}});
  const auto y = correlation_y();
  const auto value = (*loss)(y * 2 + 1, y).item<double>();
  EXPECT_GE(value, 0.0);
  EXPECT_NEAR(value, 0, kRounding);
  EXPECT_NEAR(loss_gradient(*loss, y * 2 + 1, y).norm().item<double>(), 0, 1e-7);
}

// One or two rows, or one label for all: MAE alone, counted; with alpha 0 there is nothing left.
TEST(Correlation, IsSkippedWhereItIsUndefined) {
  struct Case {
    at::Tensor p, y;
  };
  const std::vector<Case> cases = {
      {numbers({1.0}), numbers({3.0})},
      {numbers({1.0, 2.0}), numbers({3.0, 0.5})},
      {numbers({1.0, 2.0, 4.0, 0.3}), numbers({4.4, 4.4, 4.4, 4.4})},
      {numbers({1.0, 2.0, 4.0}), numbers({0.0, 0.0, 0.0})},
      {numbers({1.0, 2.0, 4.0, 5.0}), numbers({1.5, kNanTarget, kNanTarget, 2.0})},
  };
  for (const auto& [p, y] : cases) {
    LossInfo info;
    const auto half = loss_with("correlation");
    const auto mae = loss_with("mae");
    EXPECT_NEAR((*half)(p, y, &info).item<double>(), 0.5 * (*mae)(p, y).item<double>(), kRounding);
    EXPECT_TRUE(info.correlation_skipped);
    EXPECT_TRUE(torch::allclose(loss_gradient(*half, p, y), 0.5 * loss_gradient(*mae, p, y)));
    const auto alone = loss_with("correlation", {{"alpha", "0"}});
    EXPECT_FALSE((*alone)(p, y, &info).defined());
    EXPECT_TRUE(info.correlation_skipped);
    const auto none = loss_with("correlation", {{"alpha", "1"}});
    EXPECT_TRUE((*none)(p, y, &info).defined());
    EXPECT_FALSE(info.correlation_skipped);
  }
}

// ‖p̃‖ = 0: the gradient is ỹ / (ε ‖ỹ‖²), finite and pulling the predictions apart.
TEST(Correlation, ConstantPredictionsGetABoundedGradient) {
  const auto loss = loss_with("correlation", {{"alpha", "0"}, {"epsilon", "0.01"}});
  const auto y = correlation_y();
  const auto b = y - y.mean();
  const auto p = torch::full({6}, 1.25, torch::kDouble);
  EXPECT_NEAR((*loss)(p, y).item<double>(), 1.0, kRounding);
  const auto expected = -b / (0.01 * b.square().sum());
  EXPECT_TRUE(torch::allclose(loss_gradient(*loss, p, y), expected, kRounding, kRounding));
  // Nearly constant, on either side of the floor: the bound holds.
  for (const double spread : {1e-12, 1e-6, 0.0099, 0.0101}) {
    const auto gradient = loss_gradient(*loss, p + b.flip(0) * spread, y);
    EXPECT_LE(gradient.norm().item<double>(), 1.0001 / (0.01 * b.norm().item<double>())) << spread;
  }
}

TEST(Correlation, TheFloorFollowsTheUnitOfTheLabels) {
  const auto loss = loss_with("correlation", {{"alpha", "0"}});
  const auto y = correlation_y();
  const auto p = 2 + (y - y.mean()).flip(0) * 1e-4;
  const double value = (*loss)(p, y).item<double>();
  EXPECT_NEAR((*loss)(p * 1000, y * 1000).item<double>(), value, kRounding);
  const auto gradient = loss_gradient(*loss, p, y);
  EXPECT_TRUE(
      torch::allclose(loss_gradient(*loss, p * 1000, y * 1000) * 1000, gradient, 1e-9, kRounding));
}

TEST(Correlation, Float32LabelsNearFiveKeepTheirPrecision) {
  const auto loss = loss_with("correlation", {{"alpha", "0"}});
  const auto p = 5.0 + correlation_p() * 1e-3;
  const auto y = 5.0 + correlation_y() * 1e-3;
  const auto p32 = p.to(torch::kFloat);
  const auto y32 = y.to(torch::kFloat);
  const double exact = 1 - pearson(p32.to(torch::kDouble), y32.to(torch::kDouble));
  const auto value = (*loss)(p32, y32);
  EXPECT_EQ(value.scalar_type(), torch::kFloat);
  EXPECT_NEAR(value.item<double>(), exact, 1e-7);
}

}  // namespace
}  // namespace detente::losses
