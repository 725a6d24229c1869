// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/si.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Si, DividesByTheLoss) {
  const auto method = make_with("si");
  EXPECT_EQ(weigh_losses(*method, {0.5, 4}), (std::vector<double>{2, 0.25}));
}

TEST(Si, CancelsTheUnitOfALoss) {
  // d = Σ w_i g_i with g_i scaled as the loss is.
  const auto method = make_with("si");
  for (const double unit : {1e-6, 1.0, 1e6}) {
    EXPECT_NEAR(weigh_losses(*method, {3 * unit, 2})[0] * unit, 1.0 / 3, kRounding);
  }
}

TEST(Si, RefusesLossesThatAreNotPositive) {
  expect_losses_refused("si", {1, -2}, ErrorCode::kNumeric, "task 1");
  expect_losses_refused("si", {0, 2}, ErrorCode::kNumeric, "task 0");
}

}  // namespace
}  // namespace detente::balance
