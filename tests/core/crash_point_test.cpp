// SPDX-License-Identifier: Apache-2.0
#include <detente/core/crash_point.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace detente {
namespace {

// The variable is read once in a process, so each case is a process of its own.
void pass_with(const char* plan, int times) {
  setenv("DETENTE_CRASH_AT", plan, 1);
  try {
    for (int i = 0; i < times; ++i) {
      crash_point("run.marked");
      crash_point("snapshot.part");
    }
  } catch (const Error&) {
    std::_Exit(2);
  }
  std::_Exit(0);
}

TEST(CrashPointDeathTest, EndsTheProcessAtTheTimeThatIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(pass_with("snapshot.part", 1), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_with("snapshot.part:3", 3), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_with("snapshot.part:3", 2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(pass_with("finish.summary", 9), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(pass_with("", 9), testing::ExitedWithCode(0), "");
}

void pass_as(int rank, const char* asked) {
  setenv("DETENTE_CRASH_RANK", asked, 1);
  set_crash_rank(rank);
  pass_with("snapshot.part", 1);
}

TEST(CrashPointDeathTest, EndsTheRankThatIsNamedAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(pass_as(1, "1"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_as(1, ""), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_as(0, "1"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(pass_as(1, "0"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(pass_as(1, "one"), testing::ExitedWithCode(2), "");
}

TEST(CrashPointDeathTest, RefusesWhatItDoesNotKnow) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const char* plan :
       {"nowhere", "snapshot.part:0", "snapshot.part:x", "snapshot.part:", ":1"}) {
    EXPECT_EXIT(pass_with(plan, 1), testing::ExitedWithCode(2), "") << plan;
  }
}

}  // namespace
}  // namespace detente
