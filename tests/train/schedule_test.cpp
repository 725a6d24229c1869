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

// torch.optim.lr_scheduler.StepLR(100, 0.5) over 200 epochs of 398 steps.
TEST(Schedule, StepsDownWhereItIsToldTo) {
  ScheduleOptions options{Kind::kStep, 0.0, 0.0};
  const int steps = 398;
  for (int epoch = 0; epoch < 200; ++epoch) {
    for (const int step : {epoch * steps, epoch * steps + steps - 1}) {
      EXPECT_DOUBLE_EQ(schedule_factor(options, step, 200 * steps), epoch < 100 ? 1.0 : 0.5);
    }
  }
  options.drops = {0.25, 0.75, 0.5};
  options.factor = 0.1;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 24, 100), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 25, 100), 0.1);
  EXPECT_DOUBLE_EQ(schedule_factor(options, 60, 100), 0.01);
  EXPECT_NEAR(schedule_factor(options, 99, 100), 0.001, 1e-15);
  options.drops = {};
  EXPECT_DOUBLE_EQ(schedule_factor(options, 99, 100), 1.0);
  options.warmup = 0.5;
  EXPECT_DOUBLE_EQ(schedule_factor(options, 0, 10), 0.2);
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
