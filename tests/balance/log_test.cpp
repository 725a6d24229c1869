// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/log.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Log, IsTheGradientOfLogOnePlusLoss) {
  const auto method = make_with("log");
  EXPECT_EQ(weigh_losses(*method, {0, 1, 3}), (std::vector<double>{1, 0.5, 0.25}));
}

TEST(Log, RefusesLossesAtItsPole) {
  expect_losses_refused("log", {1, -1}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
