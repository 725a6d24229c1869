// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/collapse.h>
#include <detente/distill/dino_options.h>
#include <gmock/gmock.h>

#include <cmath>

#include "tests/support/error_of.h"

namespace detente::distill {
namespace {

using State = CollapseMonitor::State;

const double kLog = std::log(4096.0);

TEST(CollapseMonitor, IsStillAboutAHealthyRun) {
  CollapseMonitor monitor(4096);
  for (int t = 0; t < 1000; ++t) {
    const double h1 = kLog * (0.5 + 0.3 * std::sin(t));
    EXPECT_EQ(monitor.add(h1, kLog * 0.98, 0.8), State::kFine);
  }
  // Answers that are sure of themselves but of different things are what one wants.
  for (int t = 0; t < 1000; ++t) EXPECT_EQ(monitor.add(0.01 * kLog, 0.9 * kLog, 0.8), State::kFine);
}

TEST(CollapseMonitor, NamesBothEndsAfterItsPatience) {
  CollapseMonitor uniform(4096);
  CollapseMonitor one(4096);
  for (int t = 1; t <= 60; ++t) {
    EXPECT_EQ(uniform.add(0.995 * kLog, kLog, 0.7), t < 50 ? State::kFine : State::kUniform) << t;
    EXPECT_EQ(one.add(0.05 * kLog, 0.09 * kLog, 0), t < 50 ? State::kFine : State::kOnePrototype);
  }
  EXPECT_EQ(uniform.add(0.98 * kLog, kLog, 0.7), State::kFine);
  EXPECT_EQ(one.add(0.05 * kLog, 0.11 * kLog, 0.7), State::kFine);
}

// Neither flat nor sharp, and the same for all.
TEST(CollapseMonitor, NamesOneAnswerForAllRows) {
  CollapseMonitor monitor(4096);
  const double h = 0.43 * kLog;
  for (int t = 1; t <= 60; ++t) {
    EXPECT_EQ(monitor.add(h, h + 1e-4 * kLog, 0.1), t < 50 ? State::kFine : State::kOneAnswer) << t;
  }
  EXPECT_THAT(monitor.remedy(State::kOneAnswer, {}), testing::HasSubstr("teacher_temperature"));
  EXPECT_EQ(monitor.add(h, h + 0.01 * kLog, 0.1), State::kFine);
}

TEST(CollapseMonitor, StartsAgainWhenTheConditionPauses) {
  CollapseMonitor monitor(64, 3);
  const double log = std::log(64.0);
  const auto flat = [&] { return monitor.add(log, log, 0.5); };
  EXPECT_EQ(flat(), State::kFine);
  EXPECT_EQ(flat(), State::kFine);
  EXPECT_EQ(monitor.add(0.9 * log, log, 0.5), State::kFine);
  EXPECT_EQ(flat(), State::kFine);
  EXPECT_EQ(flat(), State::kFine);
  EXPECT_EQ(monitor.add(std::nan(""), std::nan(""), 0.5), State::kFine);
  EXPECT_EQ(flat(), State::kFine);
  EXPECT_EQ(monitor.add(0, 0, 0.5), State::kFine);       // from one end to the other,
  EXPECT_EQ(monitor.add(0, 0, 0.5), State::kOneAnswer);  // and one answer for all throughout
  EXPECT_EQ(monitor.add(0, 0, 0.5), State::kOnePrototype);
}

TEST(CollapseMonitor, SaysWhatToChange) {
  const DinoOptions options{.teacher_temperature = 0.07, .centre_momentum = 0.99};
  CollapseMonitor monitor(4096, 1);
  EXPECT_EQ(monitor.remedy(State::kFine, options), "");
  EXPECT_EQ(monitor.add(kLog, kLog, 0.9), State::kUniform);
  EXPECT_THAT(monitor.remedy(State::kUniform, options),
              testing::AllOf(testing::HasSubstr("lower teacher_temperature (now 0.07"),
                             testing::HasSubstr("8.318"),
                             testing::HasSubstr("still differ (deviation 0.9)")));
  EXPECT_EQ(monitor.add(0, 0, 0.001), State::kOnePrototype);
  EXPECT_THAT(monitor.remedy(State::kOnePrototype, options),
              testing::AllOf(testing::HasSubstr("lower centre_momentum (now 0.99"),
                             testing::HasSubstr("all alike")));
  monitor.add(0, 0, std::nan(""));
  EXPECT_THAT(monitor.remedy(State::kOnePrototype, options),
              testing::Not(testing::HasSubstr("deviation")));
}

TEST(CollapseMonitor, GoesOnFromItsState) {
  CollapseMonitor whole(64, 10);
  const double log = std::log(64.0);
  for (int t = 0; t < 6; ++t) whole.add(log, log, 0.5);
  CollapseMonitor resumed(64, 10);
  resumed.load_state(whole.state());
  EXPECT_EQ(resumed.state(), whole.state());
  for (int t = 0; t < 3; ++t) EXPECT_EQ(resumed.add(log, log, 0.5), State::kFine);
  EXPECT_EQ(resumed.add(log, log, 0.5), State::kUniform);
  CollapseMonitor untouched(64);
  EXPECT_NO_THROW(untouched.load_state(CollapseMonitor(64).state()));  // with NaN in it
  const std::vector<std::vector<double>> wrong = {
      {}, {1, 2, 3, 4}, {-1, 0, 0, 0, 0}, {0.5, 0, 0, 0, 0}, {std::nan(""), 0, 0, 0, 0}};
  for (const auto& numbers : wrong) {
    EXPECT_EQ(test::error_of([&] { untouched.load_state(numbers); }).code(), ErrorCode::kData);
  }
}

TEST(CollapseMonitor, RefusesWhatCannotBeWatched) {
  EXPECT_EQ(test::error_of([] { CollapseMonitor(1); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([] { CollapseMonitor(64, 0); }).code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::distill
