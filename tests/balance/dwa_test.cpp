// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dwa.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Dwa, WaitsForTwoWindows) {
  const auto method = make_with("dwa", {{"window", "2"}});
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(weigh_losses(*method, {1.0 / (1 + step), 1.0}), std::vector<double>(2, 1.0)) << step;
  }
  EXPECT_NE(weigh_losses(*method, {0.1, 1.0}), std::vector<double>(2, 1.0));
}

TEST(Dwa, FollowsThePapersFormula) {
  const auto method = make_with("dwa", {{"window", "2"}, {"temperature", "2"}});
  weigh_losses(*method, {3.0, 8.0});
  weigh_losses(*method, {5.0, 8.0});  // means 4 and 8
  weigh_losses(*method, {1.0, 4.0});
  weigh_losses(*method, {3.0, 10.0});  // means 2 and 7
  const auto weights = weigh_losses(*method, {100.0, 100.0});
  const double a = std::exp(2.0 / 4 / 2);
  const double b = std::exp(7.0 / 8 / 2);
  EXPECT_NEAR(weights[0], 2 * a / (a + b), kRounding);
  EXPECT_NEAR(weights[1], 2 * b / (a + b), kRounding);
}

TEST(Dwa, GivesTheSlowerTaskMoreWeight) {
  const auto method = make_with("dwa", {{"window", "1"}});
  weigh_losses(*method, {1, 1});
  weigh_losses(*method, {0.5, 0.9});
  const auto weights = weigh_losses(*method, {0.5, 0.9});
  EXPECT_LT(weights[0], weights[1]);
  EXPECT_NEAR(weights[0] + weights[1], 2.0, kRounding);
}

TEST(Dwa, IsEqualForEqualRatiosAndHighTemperature) {
  const auto same = make_with("dwa", {{"window", "1"}});
  const auto hot = make_with("dwa", {{"window", "1"}, {"temperature", "1e9"}});
  for (const auto& losses : std::vector<std::vector<double>>{{4, 100}, {2, 50}, {1, 25}}) {
    for (const double x : weigh_losses(*same, losses)) EXPECT_NEAR(x, 1.0, kRounding);
  }
  for (const auto& losses : std::vector<std::vector<double>>{{4, 100}, {2, 90}, {1, 25}}) {
    for (const double x : weigh_losses(*hot, losses)) EXPECT_NEAR(x, 1.0, kReference);
  }
}

TEST(Dwa, CountsASolvedTaskAsUnchanged) {
  const auto method = make_with("dwa", {{"window", "1"}});
  weigh_losses(*method, {0, 1});
  weigh_losses(*method, {0, 1});
  for (const double x : weigh_losses(*method, {0, 1})) EXPECT_NEAR(x, 1.0, kRounding);
}

TEST(Dwa, RefusesNegativeLosses) {
  expect_losses_refused("dwa", {1, -1}, ErrorCode::kNumeric, "task 1");
}

TEST(Dwa, ContinuesAfterAnIncompleteWindow) {
  const auto whole = make_with("dwa", {{"window", "3"}});
  auto part = make_with("dwa", {{"window", "3"}});
  for (int step = 0; step < 11; ++step) {
    const std::vector<double> losses = {1.0 / (1 + step), 2.0 + step};
    const auto expected = weigh_losses(*whole, losses);
    const Json state = Json::parse(part->state().dump());
    part = make_with("dwa", {{"window", "3"}});
    part->load_state(state);
    EXPECT_EQ(weigh_losses(*part, losses), expected) << step;
  }
}

}  // namespace
}  // namespace detente::balance
