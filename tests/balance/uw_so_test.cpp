// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/uw_so.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(UwSo, IsTheSoftmaxOfInverseLosses) {
  const auto method = make_with("uw_so", {{"temperature", "2"}});
  const auto weights = weigh_losses(*method, {0.5, 1.0});
  // softmax((2, 1)/2)
  EXPECT_NEAR(weights[0], 1 / (1 + std::exp(-0.5)), kRounding);
}

TEST(UwSo, TendsToEqualWeightsAtHighTemperature) {
  const auto method = make_with("uw_so", {{"temperature", "1e9"}});
  const auto weights = weigh_losses(*method, {0.1, 1, 10});
  for (const double x : weights) EXPECT_NEAR(x, 1.0 / 3, kReference);
}

TEST(UwSo, PutsAllWeightOnTheSmallestLossAtLowTemperature) {
  const auto method = make_with("uw_so", {{"temperature", "1e-3"}});
  EXPECT_NEAR(weigh_losses(*method, {0.5, 1, 2})[0], 1.0, kRounding);
}

TEST(UwSo, SurvivesTinyLosses) {
  const auto method = make_with("uw_so");
  const auto weights = weigh_losses(*method, {1e-300, 1e-300, 1.0});
  EXPECT_NEAR(weights[0], 0.5, kRounding);
  EXPECT_EQ(weights[2], 0.0);
}

TEST(UwSo, RefusesLossesThatAreNotPositive) {
  expect_losses_refused("uw_so", {1, 0}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
