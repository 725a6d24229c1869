// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/labelled_rows.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const double kNone = std::numeric_limits<double>::quiet_NaN();

// Row i of class i % classes.
Target classes_of(std::size_t rows, int classes) {
  Target target{.task = "label", .kind = TaskKind::kClasses};
  for (std::size_t i = 0; i < rows; ++i) {
    target.values.push_back(static_cast<double>(i % static_cast<std::size_t>(classes)));
  }
  return target;
}

std::map<double, int> counts(const Target& target, const RowList& rows) {
  std::map<double, int> all;
  for (const std::size_t row : rows) ++all[target.values[row]];
  return all;
}

TEST(LabelledRows, TakesAsManyOfEachClass) {
  const std::vector<Target> targets = {classes_of(100, 5)};
  const RowList rows = LabelledRows{.rows = 20}.chosen(targets);
  EXPECT_THAT(rows, SizeIs(20));
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
  for (const auto& [id, count] : counts(targets[0], rows)) EXPECT_EQ(count, 4) << id;
  const auto uneven = counts(targets[0], LabelledRows{.rows = 23}.chosen(targets));
  EXPECT_THAT(uneven,
              ElementsAre(std::pair{0.0, 5},
                          std::pair{1.0, 5},
                          std::pair{2.0, 5},
                          std::pair{3.0, 4},
                          std::pair{4.0, 4}));
}

TEST(LabelledRows, TheSeedDecidesWhich) {
  const std::vector<Target> targets = {classes_of(1000, 2)};
  const auto rows = [&](std::int64_t seed) {
    return LabelledRows{.rows = 100, .seed = seed}.chosen(targets);
  };
  EXPECT_EQ(rows(1), rows(1));
  EXPECT_NE(rows(1), rows(2));
  // No place in the file is preferred: the mean row of a hundred is 500 ± 29.
  double sum = 0;
  for (const std::size_t row : rows(3)) sum += static_cast<double>(row);
  EXPECT_NEAR(sum / 100, 500, 120);
}

TEST(LabelledRows, HidesTheOthersInAllTasks) {
  Target side{.task = "side", .columns = 2};
  side.values = {1, kNone, kNone, kNone, 3, 4, 5, 6};
  std::vector<Target> targets = {classes_of(4, 2), side};
  const LabelledRows all{.rows = 4};
  all.hide(targets);
  EXPECT_EQ(targets[0].missing, 0U);
  EXPECT_EQ(targets[1].missing, 1U);
  const LabelledRows two{.rows = 2};
  const RowList kept = two.chosen(targets);
  two.hide(targets);
  EXPECT_EQ(targets[0].missing, 2U);
  for (std::size_t row = 0; row < 4; ++row) {
    const bool there = std::find(kept.begin(), kept.end(), row) != kept.end();
    EXPECT_EQ(std::isnan(targets[0].values[row]), !there);
    if (!there) {
      EXPECT_TRUE(std::isnan(targets[1].values[2 * row]));
      EXPECT_TRUE(std::isnan(targets[1].values[2 * row + 1]));
    }
  }
}

TEST(LabelledRows, RowsWithoutALabelAreNoneToKeep) {
  std::vector<Target> targets = {classes_of(6, 2)};
  targets[0].values[0] = targets[0].values[1] = kNone;
  EXPECT_THAT(LabelledRows{.rows = 4}.chosen(targets), ElementsAre(2, 3, 4, 5));
  const Error error = error_of([&] { LabelledRows{.rows = 6}.chosen(targets); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("3 rows of class 0 of task 'label', which has 2"));
}

TEST(LabelledRows, NumbersHaveNoClassesToSpreadOver) {
  Target number{.task = "age"};
  for (int i = 0; i < 50; ++i) number.values.push_back(0.1 * i);
  EXPECT_THAT((LabelledRows{.rows = 7}.chosen(std::vector<Target>{number})), SizeIs(7));
  EXPECT_THROW(LabelledRows{.rows = 51}.chosen(std::vector<Target>{number}), Error);
  EXPECT_THROW(LabelledRows{.rows = 1}.chosen({}), Error);
  // A task of classes decides, wherever it stands.
  const std::vector<Target> both = {number, classes_of(50, 5)};
  for (const auto& [id, count] : counts(both[1], LabelledRows{.rows = 10}.chosen(both))) {
    EXPECT_EQ(count, 2) << id;
  }
}

}  // namespace
}  // namespace detente::data
