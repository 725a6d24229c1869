// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/mgda.h>
#include <detente/balance/moco.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Moco, TendsToMgdaOnConstantGradients) {
  Rng rng(801);
  for (const std::size_t k : {2, 3, 5}) {
    const Matrix jacobian = problem_of(Family::kConflicting, k, rng);
    const Matrix gram = gram_of(jacobian);
    const auto method = make_with("moco", {{"beta", "1"}, {"rho", "0"}, {"gamma", "0.02"}});
    Result result;
    for (int step = 0; step < 20000; ++step) take_step(*method, jacobian, {}, nullptr, result);
    const auto expected = mgda(gram).weights;
    for (std::size_t i = 0; i < k; ++i) EXPECT_NEAR(result.weights[i], expected[i], kReference);
  }
}

TEST(Moco, AgreesWithHandCalculation) {
  const auto method = make_with("moco", {{"beta", "0.5"}, {"gamma", "0.1"}, {"rho", "1"}});
  Result result;
  const Matrix jacobian = matrix_of({{2, 0}, {0, 4}});
  auto d = take_step(*method, jacobian, {}, nullptr, result);
  // Y = (1, 0; 0, 2); λ − γ(YYᵀ + I)λ = (0.5 − 0.1, 0.5 − 0.25), projected: + 0.175 each.
  EXPECT_NEAR(result.weights[0], 0.575, kRounding);
  EXPECT_NEAR(result.weights[1], 0.425, kRounding);
  EXPECT_NEAR(d[0], 0.575, kRounding);
  EXPECT_NEAR(d[1], 0.85, kRounding);
  d = take_step(*method, jacobian, {}, nullptr, result);
  // Y = (1.5, 0; 0, 3); slopes (2.25 + 1) 0.575 and (9 + 1) 0.425.
  const double a = 0.575 - 0.325 * 0.575;
  const double b = 0.425 - 1.0 * 0.425;
  EXPECT_NEAR(result.weights[0], a + (1 - a - b) / 2, kRounding);
  EXPECT_NEAR(d[1], 3 * result.weights[1], kRounding);
}

TEST(Moco, AveragesTheNoiseAway) {
  // Gradients (1, 0) and (0, 1) in noise of ten times their length, in 200 further coordinates.
  const auto method = make_with("moco", {{"beta", "0.002"}, {"gamma", "0"}});
  Rng rng(802);
  std::vector<double> d;
  for (int step = 0; step < 4000; ++step) {
    Matrix jacobian = random_jacobian(2, 202, rng);
    for (std::size_t p = 0; p < 404; ++p) jacobian.data()[p] *= 0.7;
    jacobian(0, 0) += 1;
    jacobian(1, 1) += 1;
    d = take_step(*method, jacobian);
  }
  // Half of each row; the variance of an average is β/(2 − β) of one step's.
  const double sigma = 0.7 * std::sqrt(0.002 / 2) / std::sqrt(2.0);
  EXPECT_NEAR(d[0], 0.5, 6 * sigma);
  EXPECT_NEAR(d[1], 0.5, 6 * sigma);
  double noise = 0;
  for (std::size_t p = 2; p < 202; ++p) noise += d[p] * d[p] / 200;
  EXPECT_LT(std::sqrt(noise), 1.5 * sigma);
}

TEST(Moco, KeepsUniformWeightsWithoutAStep) {
  const auto method = make_with("moco", {{"gamma", "0"}, {"beta", "1"}});
  Rng rng(803);
  const Matrix jacobian = random_jacobian(4, 6, rng);
  Result result;
  const auto d = take_step(*method, jacobian, {}, nullptr, result);
  const auto mean = direction_of(jacobian, std::vector<double>(4, 0.25));
  for (std::size_t p = 0; p < 6; ++p) EXPECT_NEAR(d[p], mean[p], kRounding);
}

TEST(Moco, DecaysItsSteps) {
  const auto method = make_with(
      "moco",
      {{"beta", "0.5"}, {"beta_decay", "1"}, {"gamma", "0.1"}, {"gamma_decay", "2"}, {"rho", "0"}});
  const Matrix jacobian = matrix_of({{1, 0}, {0, 2}});
  Result result;
  take_step(*method, jacobian, {}, nullptr, result);
  const double before = result.weights[0];
  EXPECT_NEAR(before, 0.5 + 0.1 * (1.0 - 0.25) * 0.5 / 2, kRounding);
  take_step(*method, jacobian, {}, nullptr, result);
  // β = 1/4: Y = (5/8) J; γ = 0.025.
  const double a = before - 0.025 * (25.0 / 64) * before;
  const double b = (1 - before) - 0.025 * (25.0 / 16) * (1 - before);
  EXPECT_NEAR(result.weights[0], a + (1 - a - b) / 2, kRounding);
}

TEST(Moco, GivesRowsTheLengthOfTheLossInTheOfficialCode) {
  const auto method = make_with("moco", {{"preset", "official_code"}, {"beta", "1"}});
  const Matrix jacobian = matrix_of({{3, 4}, {0, 2}});
  Result result;
  const auto d = take_step(*method, jacobian, {2.0, 0.5}, nullptr, result);
  // Y = (1.2, 1.6; 0, 0.5), softmax of ½ − 0.1 (YYᵀ ½).
  const double a = 0.5 - 0.1 * (4.0 + 0.8) / 2;
  const double b = 0.5 - 0.1 * (0.8 + 0.25) / 2;
  const double w = std::exp(a) / (std::exp(a) + std::exp(b));
  EXPECT_NEAR(result.weights[0], w, kRounding);
  EXPECT_NEAR(d[0], 1.2 * w, kRounding);
  EXPECT_NEAR(d[1], 1.6 * w + 0.5 * (1 - w), kRounding);
  EXPECT_THROW(take_step(*method, jacobian), Error);
  EXPECT_THROW(take_step(*method, jacobian, {1.0, -1.0}), Error);
}

TEST(Moco, StaysOnTheSimplexWithHugeGradients) {
  const auto method = make_with("moco", {{"rho", "0"}});
  Result result;
  for (int step = 0; step < 4; ++step) {
    take_step(*method, matrix_of({{1e12, 0}, {0, 1e-12}, {1, 1}}), {}, nullptr, result);
    expect_on_simplex(result.weights);
  }
  EXPECT_NEAR(result.weights[0], 0.0, kRounding);
}

}  // namespace
}  // namespace detente::balance
