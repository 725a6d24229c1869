// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl_l.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(ImtlL, ConvergesToTheInverseLoss) {
  const auto method = make_with("imtl_l");
  const std::vector<double> losses = {0.2, 1.0, 6.0};
  const auto weights = weigh_losses(*method, losses, 4000);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(weights[i] * losses[i], 1.0, kLimit);
}

TEST(ImtlL, StartsAtTheChosenWeight) {
  const auto method = make_with("imtl_l", {{"init", "-0.5"}});
  EXPECT_NEAR(weigh_losses(*method, {3.0})[0], std::exp(-0.5), kRounding);
}

TEST(ImtlL, MovesEachLogWeightAgainstItsGradient) {
  // The first Adam step has the length lr and the sign of 1 - e^s L.
  const auto method = make_with("imtl_l", {{"lr", "0.1"}});
  weigh_losses(*method, {3.0, 0.2});
  const auto s = method->state().at("values").get<std::vector<double>>();
  EXPECT_NEAR(s[0], -0.1, kReference);
  EXPECT_NEAR(s[1], 0.1, kReference);
}

TEST(ImtlL, ClampsTheWeightOfASolvedTask) {
  const auto method = make_with("imtl_l", {{"lr", "1"}, {"clamp", "2"}});
  EXPECT_NEAR(weigh_losses(*method, {0.0}, 50)[0], std::exp(2.0), kAccumulated);
}

TEST(ImtlL, RefusesNegativeLosses) {
  expect_losses_refused("imtl_l", {1, -0.1}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
