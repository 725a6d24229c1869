// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/dino_options.h>
#include <detente/distill/schedules.h>
#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;
using test::kRounding;

constexpr auto kInclusive = ScheduleEnds::kInclusive;

TEST(CosineCourse, ReferenceEndsAreExact) {
  EXPECT_EQ(cosine_course(0.5, 0.01, 0, 20, 5), 0);
  EXPECT_EQ(cosine_course(0.5, 0.01, 4, 20, 5), 0.5);
  EXPECT_EQ(cosine_course(0.5, 0.01, 5, 20, 5), 0.5);
  EXPECT_EQ(cosine_course(0.5, 0.01, 0, 20), 0.5);
  const double last = 0.01 + 0.49 * (1 + std::cos(std::numbers::pi * 14 / 15)) / 2;
  EXPECT_NEAR(cosine_course(0.5, 0.01, 19, 20, 5), last, kRounding);
  EXPECT_GT(cosine_course(0.5, 0.01, 19, 20, 5), 0.01 + 1e-3);  // not the end
  EXPECT_EQ(cosine_course(0.5, 0.01, 0, 20, 1), 0);  // a warm-up of one step is at its start
  EXPECT_EQ(cosine_course(0.5, 0.01, 1, 20, 1), 0.5);
  EXPECT_EQ(cosine_course(0.5, 0.01, 3, 4, 4), 0.5);  // warm-up alone
}

TEST(CosineCourse, InclusiveEndsAreExact) {
  EXPECT_EQ(cosine_course(0.5, 0.01, 0, 20, 5, kInclusive), 0.1);
  EXPECT_EQ(cosine_course(0.5, 0.01, 4, 20, 5, kInclusive), 0.5);
  EXPECT_EQ(cosine_course(0.5, 0.01, 5, 20, 5, kInclusive), 0.5);
  EXPECT_EQ(cosine_course(0.5, 0.01, 19, 20, 5, kInclusive), 0.01);
  EXPECT_EQ(cosine_course(0.996, 1, 99, 100, 0, kInclusive), 1);
  EXPECT_EQ(cosine_course(0.5, 0.01, 0, 1, 0, kInclusive), 0.01);
  EXPECT_EQ(cosine_course(0.5, 0.01, 5, 6, 5, kInclusive), 0.01);
}

TEST(CosineCourse, GoesOneWayBetweenItsEnds) {
  for (const auto ends : {ScheduleEnds::kReference, kInclusive}) {
    for (const std::int64_t total : {2, 3, 17, 100}) {
      double before = 0.04;
      for (std::int64_t t = 1; t < total; ++t) {
        const double now = cosine_course(0.04, 0.4, t, total, 0, ends);
        EXPECT_GT(now, before);
        EXPECT_LE(now, 0.4);
        before = now;
      }
    }
  }
}

TEST(CosineCourse, RefusesStepsAndWarmUpsOutsideTheRun) {
  const Error warmup = error_of([] { cosine_course(1, 0, 0, 10, 11); });
  EXPECT_EQ(warmup.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(warmup.what(), testing::HasSubstr("the warm-up has 11 steps; expected 0 to 10"));
  for (const Error& error : {error_of([] { cosine_course(1, 0, 10, 10); }),
                             error_of([] { cosine_course(1, 0, -1, 10); }),
                             error_of([] { cosine_course(1, 0, 0, 0); }),
                             error_of([] { cosine_course(1, 0, 0, 10, -1); }),
                             error_of([] { cosine_course(std::nan(""), 0, 0, 10); })}) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  }
}

TEST(TeacherTemperature, WarmsUpInAStraightLine) {
  const DinoOptions options{
      .teacher_temperature = 0.07, .first_teacher_temperature = 0.04, .teacher_warmup_epochs = 31};
  EXPECT_EQ(teacher_temperature(options, 0), 0.04);
  EXPECT_NEAR(teacher_temperature(options, 10), 0.05, kRounding);
  EXPECT_EQ(teacher_temperature(options, 30), 0.07);
  EXPECT_EQ(teacher_temperature(options, 31), 0.07);
  EXPECT_EQ(teacher_temperature(options, 5000), 0.07);
  EXPECT_EQ(teacher_temperature({}, 0), 0.04);
  EXPECT_EQ(error_of([&] { teacher_temperature(options, -1); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(DinoOptions, AreChecked) {
  EXPECT_NO_THROW(check_dino_options({.teacher_warmup_epochs = 30}, 30));
  const Error error = error_of([] { check_dino_options({.teacher_warmup_epochs = 31}, 30); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), testing::HasSubstr("teacher_warmup_epochs"));
  EXPECT_EQ(error_of([] { check_dino_options({.student_temperature = 0}, 30); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([] { check_dino_options({.centre_momentum = 1.1}, 30); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::distill
