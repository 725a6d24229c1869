// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/pbi.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double intersection(const std::vector<double>& losses,
                    const std::vector<double>& preference,
                    const std::vector<double>& ideal,
                    double theta) {
  double norm = 0, along = 0, squared = 0;
  for (const double p : preference) norm += p * p;
  norm = std::sqrt(norm);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    along += (losses[i] - ideal[i]) * preference[i] / norm;
    squared += (losses[i] - ideal[i]) * (losses[i] - ideal[i]);
  }
  return along + theta * std::sqrt(squared - along * along);
}

TEST(Pbi, IsTheGradientOfTheObjective) {
  const auto method =
      make_with("pbi", {{"theta", "3"}, {"preference", "[1, 2, 1]"}, {"ideal", "[0.1, 0, 0.2]"}});
  const std::vector<double> losses = {1.0, 0.7, 2.0};
  expect_gradient(weigh_losses(*method, losses), losses, [](const std::vector<double>& l) {
    return intersection(l, {1, 2, 1}, {0.1, 0, 0.2}, 3);
  });
}

TEST(Pbi, HasTheLengthAndTheValueOfTheObjective) {
  Rng rng(6);
  const auto method = make_with("pbi", {{"theta", "2"}});
  for (int draw = 0; draw < 50; ++draw) {
    const std::vector<double> losses = {rng.uniform(), rng.uniform(), rng.uniform(), rng.uniform()};
    const auto w = weigh_losses(*method, losses);
    EXPECT_NEAR(dot(w, w), 1 + 4.0, kAccumulated);
    EXPECT_NEAR(dot(w, losses), intersection(losses, {1, 1, 1, 1}, {0, 0, 0, 0}, 2), kAccumulated);
  }
}

TEST(Pbi, FollowsTheRayAloneWithoutPenaltyAndOnTheRay) {
  const auto free = make_with("pbi", {{"theta", "0"}, {"preference", "[3, 4]"}});
  const auto w = weigh_losses(*free, {7.0, 1.0});
  EXPECT_NEAR(w[0], 0.6, kRounding);
  EXPECT_NEAR(w[1], 0.8, kRounding);
  const auto bound = make_with("pbi", {{"preference", "[0.3, 0.7]"}});
  for (const double t : {1e-200, 1e-3, 1.0, 1e9, 1e200}) {
    const auto on = weigh_losses(*bound, {0.3 * t, 0.7 * t});
    EXPECT_NEAR(on[0] / on[1], 3.0 / 7, kRounding) << t;
  }
  EXPECT_EQ(weigh_losses(*bound, {0, 0}), weigh_losses(*bound, {0.3, 0.7}));
}

TEST(Pbi, IsBlindToTheScaleOfAllLosses) {
  const auto method = make_with("pbi");
  const auto w = weigh_losses(*method, {1, 2, 4});
  for (const double s : {1e-200, 1e-6, 1e6, 1e200}) {
    const auto scaled_w = weigh_losses(*method, {1 * s, 2 * s, 4 * s});
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(scaled_w[i], w[i], kAccumulated) << s;
  }
}

TEST(Pbi, LowersALossAboveTheRayAndRaisesOneFarBelow) {
  const auto w = weigh_losses(*make_with("pbi"), {5, 1});
  EXPECT_GT(w[0], 0.0);
  EXPECT_LT(w[1], 0.0);
}

TEST(Pbi, TakesPreferencesOfThoseWhoAreThere) {
  const std::vector<std::size_t> ids = {0, 2};
  const std::vector<double> losses = {3, 5};
  Result result;
  const auto method = make_with("pbi", {{"theta", "0"}, {"preference", "[3, 9, 4]"}});
  method->solve({.tasks = 2, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  EXPECT_NEAR(result.weights[0], 0.6, kRounding);
  EXPECT_NEAR(result.weights[1], 0.8, kRounding);
  const auto other = make_with("pbi", {{"preference", "[0, 9, 0]"}});
  other->solve({.tasks = 2, .losses = losses, .ids = ids, .all_tasks = 3}, result);
  EXPECT_EQ(result.weights, std::vector<double>(2, 0.0));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
}

TEST(Pbi, RefusesListsOfTheWrongSizeAndZeroPreferences) {
  EXPECT_THROW(weigh_losses(*make_with("pbi", {{"preference", "1,2"}}), {1, 2, 3}), Error);
  EXPECT_THROW(weigh_losses(*make_with("pbi", {{"ideal", "1"}}), {1, 2, 3}), Error);
  EXPECT_THROW(weigh_losses(*make_with("pbi", {{"preference", "0,0"}}), {1, 2}), Error);
}

}  // namespace
}  // namespace detente::balance
