// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/famo.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// One step: weights from `before`, then the losses of the same batch after it.
std::vector<double> famo_step(Method& method,
                              const std::vector<double>& before,
                              const std::vector<double>& after) {
  const auto weights = weigh_losses(method, before);
  method.losses_after_step({.tasks = after.size(), .losses = after});
  return weights;
}

std::vector<double> logits(const Method& method) {
  return method.state().at("values").get<std::vector<double>>();
}

std::vector<double> softmax_of(std::vector<double> x) {
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v);
  for (double& v : x) v /= sum;
  return x;
}

TEST(Famo, StartsWithInverseLossesThatSumToOne) {
  const auto w = weigh_losses(*make_with("famo"), {1, 2, 4});
  EXPECT_NEAR(w[0], 4.0 / 7, kRounding);
  EXPECT_NEAR(w[1], 2.0 / 7, kRounding);
  EXPECT_NEAR(w[2], 1.0 / 7, kRounding);
}

TEST(Famo, IsTheScaledGradientOfTheWeightedLogLosses) {
  const std::vector<double> bounds = {0.1, 0, -1};
  const auto method = make_with("famo", {{"lower_bounds", "[0.1, 0, -1]"}, {"lr", "5"}});
  for (int step = 0; step < 20; ++step) {
    const std::vector<double> losses = {1.2 + std::sin(step), 2.0, 1.5 + std::cos(step)};
    const auto xi = step == 0 ? std::vector<double>(3, 0.0) : logits(*method);
    const auto z = softmax_of(xi);
    double inverse_c = 0;
    for (int i = 0; i < 3; ++i) inverse_c += z[i] / (losses[i] - bounds[i]);
    const auto w = famo_step(*method, losses, {losses[0] * 0.95 + 0.01, 1.4, 1.5});
    for (int i = 0; i < 3; ++i) {
      const double h = 1e-6;
      const auto value = [&](double x) { return z[i] * std::log(x - bounds[i]) / inverse_c; };
      EXPECT_NEAR(w[i], (value(losses[i] + h) - value(losses[i] - h)) / (2 * h), kReference);
    }
  }
}

TEST(Famo, MovesTheLogitsDownTheGradientOfTheMeanFall) {
  // Σ z(ξ)_i δ_i + γ‖ξ‖²/2, differentiated numerically.
  const auto method = make_with("famo", {{"lr", "0.7"}, {"decay", "0.05"}});
  const std::vector<double> before = {1, 2, 3};
  const std::vector<double> after = {0.5, 1.9, 3.1};
  famo_step(*method, before, after);
  for (int step = 0; step < 5; ++step) {
    auto xi = logits(*method);
    const auto objective = [&] {
      const auto z = softmax_of(xi);
      double sum = 0;
      for (int i = 0; i < 3; ++i) {
        sum += z[i] * std::log(before[i] / after[i]) + 0.025 * xi[i] * xi[i];
      }
      return sum;
    };
    std::vector<double> expected = xi;
    for (int i = 0; i < 3; ++i) {
      const double h = 1e-6;
      xi[i] += h;
      const double above = objective();
      xi[i] -= 2 * h;
      expected[i] -= 0.7 * (above - objective()) / (2 * h);
      xi[i] += h;
    }
    famo_step(*method, before, after);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(logits(*method)[i], expected[i], kReference);
  }
}

TEST(Famo, GivesTheSlowTaskMoreWeight) {
  const auto method = make_with("famo", {{"lr", "1"}});
  for (int step = 0; step < 10; ++step) famo_step(*method, {1, 1}, {0.5, 0.99});
  const auto w = weigh_losses(*method, {1, 1});
  EXPECT_LT(w[0], w[1]);
}

TEST(Famo, ConservesTheSumOfTheLogitsWithoutDecay) {
  const auto method = make_with("famo", {{"lr", "3"}, {"decay", "0"}});
  for (int step = 1; step < 30; ++step) {
    famo_step(*method, {1, 2, 3}, {0.9, 1.0 + 1.0 / step, 2.5});
    const auto xi = logits(*method);
    EXPECT_NEAR(xi[0] + xi[1] + xi[2], 0.0, kAccumulated);
  }
  EXPECT_GT(std::abs(logits(*method)[0]), kLimit);
}

TEST(Famo, IgnoresWhatAllFallsHaveInCommon) {
  const auto a = make_with("famo", {{"lr", "2"}});
  const auto b = make_with("famo", {{"lr", "2"}});
  for (int step = 0; step < 10; ++step) {
    famo_step(*a, {1, 2}, {0.8, 1.9});
    famo_step(*b, {1, 2}, {0.8 / 3, 1.9 / 3});
    EXPECT_NEAR(logits(*a)[0], logits(*b)[0], kAccumulated);
  }
}

TEST(Famo, TakesTheUnitOutOfEachLoss) {
  // w_i L_i does not depend on the units, up to the common factor.
  const auto a = make_with("famo", {{"lr", "2"}});
  const auto b = make_with("famo", {{"lr", "2"}});
  for (int step = 0; step < 5; ++step) {
    const auto x = famo_step(*a, {1, 2}, {0.8, 1.9});
    const auto y = famo_step(*b, {1e-9, 2e7}, {0.8e-9, 1.9e7});
    EXPECT_NEAR(x[0] * 1 / (x[1] * 2), y[0] * 1e-9 / (y[1] * 2e7), kAccumulated);
  }
}

TEST(Famo, WaitsForTheLossesAfterTheStep) {
  const auto method = make_with("famo");
  const auto w = weigh_losses(*method, {1, 3});
  EXPECT_EQ(weigh_losses(*method, {1, 3}, 5), w);
  EXPECT_TRUE(method->wants_losses_after_step());
}

TEST(Famo, RefusesLossesThatAnswerNoStep) {
  const std::vector<double> losses = {1, 2};
  const std::vector<std::size_t> ids = {0, 2};
  const auto method = make_with("famo");
  EXPECT_THROW(method->losses_after_step({.tasks = 2, .losses = losses}), Error);
  weigh_losses(*method, {1, 2});
  EXPECT_THROW(
      method->losses_after_step({.tasks = 2, .losses = losses, .ids = ids, .all_tasks = 3}), Error);
  EXPECT_NO_THROW(method->losses_after_step({.tasks = 2, .losses = losses}));
  EXPECT_THROW(method->losses_after_step({.tasks = 2, .losses = losses}), Error);
}

TEST(Famo, RefusesALossAtItsBound) {
  expect_losses_refused("famo", {1, 0}, ErrorCode::kNumeric, "task 1");
  const auto method = make_with("famo", {{"lower_bounds", "[0.5, 0]"}});
  EXPECT_THROW(weigh_losses(*method, {0.5, 1}), Error);
  EXPECT_THROW(weigh_losses(*make_with("famo", {{"lower_bounds", "[0.5]"}}), {1, 1}), Error);
}

TEST(Famo, FollowsTheOfficialCode) {
  // Adam with the decay in the gradient, and 1e-8 added to every loss.
  const auto method = make_with("famo", {{"preset", "official_code"}});
  const std::vector<double> before = {1, 2, 1e-7};
  const std::vector<double> after = {0.5, 1.9, 2e-7};
  std::vector<double> xi(3, 0.0), first(3, 0.0), second(3, 0.0);
  for (int step = 1; step <= 40; ++step) {
    const auto z = softmax_of(xi);
    double sum = 0, mean = 0;
    for (int i = 0; i < 3; ++i) {
      sum += z[i] / (before[i] + 1e-8);
      mean += z[i] * std::log((before[i] + 1e-8) / (after[i] + 1e-8));
    }
    const auto w = famo_step(*method, before, after);
    for (int i = 0; i < 3; ++i) {
      EXPECT_NEAR(w[i], z[i] / (before[i] + 1e-8) / sum, kAccumulated);
      const double fall = std::log((before[i] + 1e-8) / (after[i] + 1e-8));
      const double g = z[i] * (fall - mean) + 0.01 * xi[i];
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.999 * second[i] + 0.001 * g * g;
      xi[i] -= 0.025 * first[i] / (1 - std::pow(0.9, step)) /
               (std::sqrt(second[i] / (1 - std::pow(0.999, step))) + 1e-8);
      EXPECT_NEAR(logits(*method)[i], xi[i], kAccumulated);
    }
  }
}

TEST(Famo, LetsOptionsAfterThePresetWin) {
  const auto method = make_with("famo", {{"preset", "official_code"}, {"decay", "0.3"}});
  const Json options = fields_to_json([&](FieldVisitor& v) { method->describe(v); });
  EXPECT_EQ(options.at("decay"), 0.3);
  EXPECT_EQ(options.at("optimizer"), "adam");
  EXPECT_EQ(options.at("epsilon"), 1e-8);
}

}  // namespace
}  // namespace detente::balance
