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
  const auto weights = weigh_losses(*method, losses);
  for (std::size_t i = 0; i < 3; ++i) {
    auto above = losses;
    auto below = losses;
    const double h = 1e-6;
    above[i] += h;
    below[i] -= h;
    const auto value = [](const std::vector<double>& l) {
      return smooth_maximum(l, {0.25, 0.5, 0.25}, {0.1, 0, 0.2}, 0.3);
    };
    EXPECT_NEAR(weights[i], (value(above) - value(below)) / (2 * h), kReference);
  }
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

}  // namespace
}  // namespace detente::balance
