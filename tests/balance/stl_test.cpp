// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/stl.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Stl, TrainsTheChosenTaskAlone) {
  EXPECT_EQ(weigh_losses(*make_with("stl"), {1, 2, 3}), (std::vector<double>{1, 0, 0}));
  EXPECT_EQ(weigh_losses(*make_with("stl", {{"task", "2"}}), {1, 2, 3}),
            (std::vector<double>{0, 0, 1}));
}

TEST(Stl, FindsTheTaskByItsNumberAmongAll) {
  const std::vector<std::size_t> ids = {1, 3};
  Result result;
  make_with("stl", {{"task", "3"}})->solve({.tasks = 2, .ids = ids, .all_tasks = 4}, result);
  EXPECT_EQ(result.weights, (std::vector<double>{0, 1}));
  EXPECT_TRUE(result.message.empty());
}

TEST(Stl, TrainsNothingWhereTheTaskIsAbsent) {
  const std::vector<std::size_t> ids = {1, 3};
  Result result;
  make_with("stl", {{"task", "2"}})->solve({.tasks = 2, .ids = ids, .all_tasks = 4}, result);
  EXPECT_EQ(result.weights, (std::vector<double>{0, 0}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_NE(result.message.find("absent"), std::string::npos);
}

TEST(Stl, RefusesATaskThatDoesNotExist) {
  const auto method = make_with("stl", {{"task", "2"}});
  try {
    weigh_losses(*method, {1, 2});
    FAIL() << "task 2 of 2 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("from 0 to 1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace detente::balance
