// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace detente::metrics {
namespace {

constexpr TaskKind kKinds[] = {TaskKind::kRegression,
                               TaskKind::kBinary,
                               TaskKind::kClasses,
                               TaskKind::kSegmentation,
                               TaskKind::kDepth,
                               TaskKind::kNormals};

TEST(MetricRegistry, HasEachNameOncePerKind) {
  std::set<std::pair<std::string, TaskKind>> seen;
  for (const auto& info : registry()) {
    EXPECT_TRUE(seen.emplace(info.name, info.kind).second) << info.name;
    EXPECT_FALSE(info.summary.empty());
  }
}

TEST(MetricRegistry, ScoresPerfectPredictionsBest) {
  const std::vector<double> targets = {0, 1, 1, 0};
  const std::vector<double> worse = {1, 1, 0, 1};
  for (const auto& info : registry()) {
    if (is_map(info.kind)) continue;  // map_tally_test.cpp
    SCOPED_TRACE(info.name);
    const Score best = info.compute(targets, targets);
    const Score other = info.compute(worse, targets);
    ASSERT_TRUE(best.defined() && other.defined());
    EXPECT_NEAR(best.value, info.higher_is_better ? 1.0 : 0.0, 1e-12);
    if (info.higher_is_better) {
      EXPECT_GT(best.value, other.value);
    } else {
      EXPECT_LT(best.value, other.value);
    }
  }
}

TEST(MetricRegistry, DefaultsAreMetricsOfTheirKind) {
  for (const TaskKind kind : kKinds) {
    EXPECT_FALSE(default_metrics(kind).empty());
    for (const auto& name : default_metrics(kind)) EXPECT_NE(find_metric(name, kind), nullptr);
  }
}

TEST(MetricRegistry, TellsAccuracyOfTwoKindsApart) {
  const std::vector<double> targets = {1, 0};
  const std::vector<double> probabilities = {0.7, 0.2};
  EXPECT_EQ(get_metric("accuracy", TaskKind::kBinary).compute(probabilities, targets).value, 1.0);
  EXPECT_EQ(get_metric("accuracy", TaskKind::kClasses).compute(probabilities, targets).value, 0.0);
}

TEST(MetricRegistry, NamesTheNearestMetricOfTheKind) {
  try {
    get_metric("pearsn", TaskKind::kRegression);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("Did you mean 'pearson'?"));
  }
  EXPECT_THROW(get_metric("pearson", TaskKind::kBinary), Error);
}

}  // namespace
}  // namespace detente::metrics
