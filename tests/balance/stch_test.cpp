// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/stch.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double smooth_maximum(const std::vector<double>& losses,
                      const std::vector<double>& preference,
                      const std::vector<double>& ideal,
                      double mu) {
  double sum = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    sum += std::exp(preference[i] * (losses[i] - ideal[i]) / mu);
  }
  return mu * std::log(sum);
}

TEST(Stch, IsTheGradientOfTheSmoothMaximum) {
  const auto method =
      make_with("stch", {{"mu", "0.3"}, {"preference", "[1, 2, 1]"}, {"ideal", "[0.1, 0, 0.2]"}});
  const std::vector<double> losses = {1.0, 0.7, 2.0};
  expect_gradient(weigh_losses(*method, losses), losses, [](const std::vector<double>& l) {
    return smooth_maximum(l, {0.25, 0.5, 0.25}, {0.1, 0, 0.2}, 0.3);
  });
}

TEST(Stch, FollowsTheWorstTaskWhenSmoothingVanishes) {
  const auto method = make_with("stch", {{"mu", "1e-9"}});
  const auto weights = weigh_losses(*method, {1.0, 3.0, 2.0});
  EXPECT_EQ(weights[0], 0.0);
  EXPECT_NEAR(weights[1], 1.0 / 3, kRounding);
  EXPECT_EQ(weights[2], 0.0);
}

TEST(Stch, TendsToThePreferenceWhenSmoothingGrows) {
  const auto method = make_with("stch", {{"mu", "1e9"}, {"preference", "[3, 1]"}});
  const auto weights = weigh_losses(*method, {1.0, 50.0});
  EXPECT_NEAR(weights[0], 0.75 / 2, kReference);
  EXPECT_NEAR(weights[1], 0.25 / 2, kReference);
}

TEST(Stch, DoesNotOverflow) {
  const auto method = make_with("stch", {{"mu", "1e-6"}});
  for (const double x : weigh_losses(*method, {1e8, 1e8 + 1})) EXPECT_TRUE(std::isfinite(x));
}

TEST(Stch, RefusesListsOfTheWrongSizeAndZeroPreferences) {
  EXPECT_THROW(weigh_losses(*make_with("stch", {{"preference", "1,2"}}), {1, 2, 3}), Error);
  EXPECT_THROW(weigh_losses(*make_with("stch", {{"ideal", "1"}}), {1, 2, 3}), Error);
  EXPECT_THROW(weigh_losses(*make_with("stch", {{"preference", "0,0"}}), {1, 2}), Error);
}

TEST(Stch, IsTheGradientOfTheScaledMaximumOfLogRatios) {
  // As in the official code: log-ratios to the mean losses of some first steps, times k.
  const auto method = make_with(
      "stch", {{"preset", "official_code"}, {"mu", "0.4"}, {"warmup", "2"}, {"reference", "3"}});
  const std::vector<std::vector<double>> first = {
      {9, 9, 9}, {8, 8, 8}, {1, 5, 3}, {2, 5, 1}, {3, 5, 2}};
  for (const auto& losses : first) {
    const auto w = weigh_losses(*method, losses);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(w[i] * losses[i], 1.0, kRounding);
  }
  const std::vector<double> losses = {1.0, 2.7, 1.3};
  const auto weights = weigh_losses(*method, losses);
  expect_gradient(weights, losses, [](const std::vector<double>& l) {
    return 3 * smooth_maximum({std::log(l[0] / 2), std::log(l[1] / 5), std::log(l[2] / 2)},
                              {1, 1, 1},
                              {0, 0, 0},
                              0.4);
  });
  EXPECT_EQ(weigh_losses(*method, losses), weights);  // the references stay
}

TEST(Stch, IgnoresUnitsWithLogRatios) {
  const Settings settings = {{"losses", "log_ratio"}, {"reference", "2"}};
  const auto a = make_with("stch", settings);
  const auto b = make_with("stch", settings);
  for (const double t : {1.0, 0.9, 0.5, 0.1}) {
    const auto x = weigh_losses(*a, {t, 2 * std::sqrt(t)});
    const auto y = weigh_losses(*b, {1e-8 * t, 2e9 * std::sqrt(t)});
    EXPECT_NEAR(x[0], y[0] * 1e-8, kAccumulated * x[0]) << t;
    EXPECT_NEAR(x[1], y[1] * 1e9, kAccumulated * x[1]) << t;
  }
}

TEST(Stch, ContinuesMeasuringTheReference) {
  const Settings settings = {{"preset", "official_code"}, {"warmup", "1"}, {"reference", "4"}};
  const auto whole = make_with("stch", settings);
  auto part = make_with("stch", settings);
  EXPECT_TRUE(part->state().is_null());
  for (int step = 0; step < 9; ++step) {
    const std::vector<double> losses = {1.0 / (1 + step), 2.0 + step};
    const auto expected = weigh_losses(*whole, losses);
    const Json state = Json::parse(part->state().dump());
    part = make_with("stch", settings);
    part->load_state(state);
    EXPECT_EQ(weigh_losses(*part, losses), expected) << step;
  }
  EXPECT_THROW(part->load_state(Json{{"steps", {1}}, {"means", {1, 2}}}), Error);
}

TEST(Stch, MeasuresEachTaskInItsOwnSteps) {
  // Task 1 joins later; the step it is in is a warm-up step until it has its reference too.
  const auto method = make_with("stch", {{"losses", "log_ratio"}, {"reference", "2"}});
  const std::vector<std::size_t> ids = {0};
  const std::vector<double> losses = {4.0};
  Result result;
  for (int step = 0; step < 3; ++step) {
    method->solve({.tasks = 1, .losses = losses, .ids = ids, .all_tasks = 2}, result);
    EXPECT_EQ(result.message.empty(), step == 2);
    EXPECT_NEAR(result.weights[0], 0.25, kRounding);
  }
  for (int step = 0; step < 2; ++step) {
    EXPECT_EQ(weigh_losses(*method, {2, 5}), (std::vector<double>{0.5, 0.2}));
  }
  EXPECT_EQ(method->state().at("means").get<std::vector<double>>(), (std::vector<double>{4, 5}));
  const auto w = weigh_losses(*method, {4, 5});
  EXPECT_NEAR(w[0] * 4, 0.25, kRounding);
  EXPECT_NEAR(w[1] * 5, 0.25, kRounding);
}

TEST(Stch, NeedsPositiveLossesForLogRatios) {
  EXPECT_THROW(weigh_losses(*make_with("stch", {{"losses", "log_ratio"}}), {1, 0}), Error);
  EXPECT_NO_THROW(weigh_losses(*make_with("stch"), {1, -1}));
}

}  // namespace
}  // namespace detente::balance
