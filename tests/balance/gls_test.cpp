// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gls.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Gls, IsTheGradientOfTheGeometricMean) {
  const auto method = make_with("gls");
  const std::vector<double> losses = {0.3, 2.0, 5.0};
  expect_gradient(weigh_losses(*method, losses), losses, [](const std::vector<double>& l) {
    return std::cbrt(l[0] * l[1] * l[2]);
  });
}

TEST(Gls, MakesAllWeightedLossesEqual) {
  const auto method = make_with("gls");
  const auto weights = weigh_losses(*method, {1e-3, 1, 1e4});
  EXPECT_NEAR(weights[0] * 1e-3, weights[1], kRounding * weights[1]);
  EXPECT_NEAR(weights[2] * 1e4, weights[1], kRounding * weights[1]);
}

TEST(Gls, NeitherOverflowsNorUnderflows) {
  const auto method = make_with("gls");
  for (const double loss : {1e-300, 1e300}) {
    const auto weights = weigh_losses(*method, std::vector<double>(4, loss));
    for (const double x : weights) EXPECT_NEAR(x, 0.25, kAccumulated);
  }
}

TEST(Gls, RefusesLossesThatAreNotPositive) {
  expect_losses_refused("gls", {1, 0}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
