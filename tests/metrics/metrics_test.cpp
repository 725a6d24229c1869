// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/nan.h>
#include <detente/metrics/metrics.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/metrics/golden.h"

namespace detente::metrics {
namespace {

using testing::HasSubstr;

// Sums of at most a hundred doubles of size about one.
constexpr double kTolerance = 1e-12;

using List = std::vector<double>;

TEST(RegressionMetrics, AgreeWithScipyAndScikitLearn) {
  for (const auto& entry : golden().at("regression")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    EXPECT_NEAR(pearson(p, t).value, entry.at("pearson").get<double>(), kTolerance);
    EXPECT_NEAR(spearman(p, t).value, entry.at("spearman").get<double>(), kTolerance);
    EXPECT_NEAR(mae(p, t).value, entry.at("mae").get<double>(), kTolerance * mae(p, t).value);
    EXPECT_NEAR(mse(p, t).value, entry.at("mse").get<double>(), kTolerance * mse(p, t).value);
    EXPECT_NEAR(r2(p, t).value,
                entry.at("r2").get<double>(),
                kTolerance * std::max(1.0, std::abs(r2(p, t).value)));
    EXPECT_EQ(pearson(p, t).rows, p.size());
  }
}

TEST(BinaryMetrics, AgreeWithScikitLearn) {
  for (const auto& entry : golden().at("binary")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    EXPECT_NEAR(f1(p, t).value, entry.at("f1").get<double>(), kTolerance);
    EXPECT_NEAR(binary_accuracy(p, t).value, entry.at("accuracy").get<double>(), kTolerance);
  }
}

TEST(ClassMetrics, AgreeWithScikitLearn) {
  for (const auto& entry : golden().at("classes")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto p = entry.at("predictions").get<List>();
    const auto t = entry.at("targets").get<List>();
    EXPECT_NEAR(class_accuracy(p, t).value, entry.at("accuracy").get<double>(), kTolerance);
    EXPECT_NEAR(macro_f1(p, t).value, entry.at("macro_f1").get<double>(), kTolerance);
  }
}

TEST(Pearson, IsBlindToOffsetAndPositiveScale) {
  const List t = {1, 2, 4, 3, 0};
  const List p = {0.5, 1.0, 3.5, 2.0, 0.25};
  List moved;
  List turned;
  for (const double v : p) moved.push_back(1e6 + 1e-3 * v);
  for (const double v : p) turned.push_back(-7.0 * v);
  EXPECT_NEAR(pearson(moved, t).value, pearson(p, t).value, 1e-6);
  EXPECT_NEAR(pearson(turned, t).value, -pearson(p, t).value, kTolerance);
}

TEST(Pearson, SurvivesLargeOffsetsAndExtremeScales) {
  // A one-pass formula loses all digits of the first and overflows on the others.
  const List t = {0, 1, 2, 3};
  EXPECT_NEAR(pearson(List{1e15, 1e15 + 1, 1e15 + 2, 1e15 + 3}, t).value, 1.0, kTolerance);
  EXPECT_NEAR(pearson(List{0, 1e200, 2e200, 3e200}, t).value, 1.0, kTolerance);
  EXPECT_NEAR(pearson(List{0, 1e-200, 2e-200, 3e-200}, t).value, 1.0, kTolerance);
}

TEST(Pearson, NeverLeavesTheUnitInterval) {
  const List t = {0.1, 0.2, 0.3, 0.7};
  EXPECT_LE(pearson(t, t).value, 1.0);
  EXPECT_NEAR(pearson(t, t).value, 1.0, kTolerance);
}

TEST(Spearman, GivesOneForAnyRisingFunction) {
  const List t = {3, 1, 2, 5, 4};
  List p;
  for (const double v : t) p.push_back(std::exp(v));
  EXPECT_NEAR(spearman(p, t).value, 1.0, kTolerance);
  EXPECT_LT(pearson(p, t).value, 0.99);
}

TEST(Spearman, GivesTiesTheirAverageRank) {
  // Ranks 1.5 1.5 3 and 1 2 3: r = 1.5 / sqrt(1.5 · 2).
  EXPECT_NEAR(spearman(List{7, 7, 9}, List{1, 2, 3}).value, std::sqrt(3.0) / 2.0, kTolerance);
}

TEST(R2, IsZeroForTheMeanAndNegativeForWorse) {
  const List t = {1, 2, 3};
  EXPECT_NEAR(r2(List{2, 2, 2}, t).value, 0.0, kTolerance);
  EXPECT_NEAR(r2(List{3, 2, 1}, t).value, -3.0, kTolerance);
}

TEST(F1, FollowsTheThreshold) {
  const List scores = {1.0, 2.9, 3.0, 4.5};
  const List t = {0, 1, 1, 1};
  EXPECT_NEAR(f1(scores, t, 3.0).value, 0.8, kTolerance);  // 2 of 3 found, none wrong
  EXPECT_NEAR(binary_accuracy(scores, t, 3.0).value, 0.75, kTolerance);
}

TEST(Metrics, LeaveOutRowsWithoutTarget) {
  const List p = {1, 100, 2, -100, 4};
  const List t = {1, kNan, 3, kNan, 2};
  const List kept_p = {1, 2, 4};
  const List kept_t = {1, 3, 2};
  for (const auto metric : {&pearson, &spearman, &mae, &mse, &r2, &class_accuracy, &macro_f1}) {
    EXPECT_DOUBLE_EQ(metric(p, t).value, metric(kept_p, kept_t).value);
    EXPECT_EQ(metric(p, t).rows, 3U);
  }
  EXPECT_DOUBLE_EQ(f1(List{1, 0, 0}, List{1, kNan, 0}).value, 1.0);
}

void expect_undefined(const Score& score, const char* reason) {
  EXPECT_TRUE(std::isnan(score.value));
  EXPECT_FALSE(score.defined());
  EXPECT_THAT(score.reason, HasSubstr(reason));
}

TEST(Metrics, SayWhyTheyAreUndefined) {
  const List up = {1, 2, 3};
  const List flat = {2, 2, 2};
  for (const auto metric : {&pearson, &spearman}) {
    expect_undefined(metric(flat, up), "all predictions are equal");
    expect_undefined(metric(up, flat), "all targets are equal");
    expect_undefined(metric(List{1}, List{1}), "at least two rows");
  }
  expect_undefined(r2(up, flat), "all targets are equal");
  expect_undefined(r2(List{1}, List{1}), "at least two rows");
  expect_undefined(f1(List{1, 0}, List{0, 0}), "no target is positive");
  for (const auto metric : {&pearson, &spearman, &mae, &mse, &r2, &class_accuracy, &macro_f1}) {
    expect_undefined(metric(List{}, List{}), "no row has a target");
    expect_undefined(metric(up, List{kNan, kNan, kNan}), "no row has a target");
    expect_undefined(metric(List{1, kNan, 3}, up), "prediction of row 1 is not finite");
    expect_undefined(metric(up, List{1, 2, INFINITY}), "target of row 2 is not finite");
  }
}

TEST(Metrics, IgnorePredictionsOfRowsWithoutTarget) {
  EXPECT_TRUE(mae(List{1, kNan}, List{2, kNan}).defined());
}

TEST(Metrics, RefuseListsOfDifferentSizes) {
  try {
    pearson(List{1, 2}, List{1, 2, 3});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
    EXPECT_THAT(error.what(), HasSubstr("2 predictions for 3 targets"));
  }
}

}  // namespace
}  // namespace detente::metrics
