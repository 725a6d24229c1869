// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/constant.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Constant, GivesTheChosenWeights) {
  const auto method = make_with("constant", {{"weights", "[0, 2.5, 1]"}});
  EXPECT_EQ(weigh_losses(*method, {9, 9, 9}), (std::vector<double>{0, 2.5, 1}));
}

TEST(Constant, GivesOnesWithoutWeights) {
  const auto method = make_with("constant");
  EXPECT_EQ(weigh_losses(*method, {9, 9}), std::vector<double>(2, 1.0));
}

TEST(Constant, RefusesAWrongNumberOfWeights) {
  const auto method = make_with("constant", {{"weights", "1,2"}});
  EXPECT_THROW(weigh_losses(*method, {1, 2, 3}), Error);
}

TEST(Constant, RefusesNegativeAndInfiniteWeights) {
  EXPECT_THROW(make_with("constant", {{"weights", "1,-2"}}), Error);
  EXPECT_THROW(make_with("constant", {{"weights", "1,inf"}}), Error);
}

}  // namespace
}  // namespace detente::balance
