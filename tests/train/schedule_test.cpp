// SPDX-License-Identifier: Apache-2.0
#include <detente/train/schedule.h>
#include <gtest/gtest.h>

namespace detente::train {
namespace {

using Kind = ScheduleOptions::Kind;

TEST(Schedule, RisesLinearlyToThePeak) {
  const ScheduleOptions options{Kind::kCosine, 0.1, 0.0};
  for (int step = 0; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(schedule_factor(options, step, 100), (step + 1) / 10.0);
  }
  EXPECT_DOUBLE_EQ(schedule_factor(options, 10, 100), 1.0);
}

TEST(Schedule, CosineIsHalfWayInTheMiddleOfTheDecay) {
  const ScheduleOptions options{Kind::kCosine, 0.0, 0.2};
  EXPECT_NEAR(schedule_factor(options, 50, 100), 0.2 + 0.8 * 0.5, 1e-12);
}

TEST(Schedule, LinearFallsEvenlyToTheFloor) {
  const ScheduleOptions options{Kind::kLinear, 0.0, 0.5};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 25, 100), 0.5 + 0.5 * 0.75);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 100, 100), 0.5);
}

TEST(Schedule, ConstantStaysAtThePeakAfterWarmUp) {
  const ScheduleOptions options{Kind::kConstant, 0.5, 0.0};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 99, 100), 1.0);
}

TEST(Schedule, NeverStartsAtZero) {
  for (const Kind kind : {Kind::kConstant, Kind::kLinear, Kind::kCosine}) {
    for (const int total : {1, 2, 10}) {
      EXPECT_GT(schedule_factor({kind, 0.3, 0.0}, 0, total), 0.0);
    }
  }
}

}  // namespace
}  // namespace detente::train
