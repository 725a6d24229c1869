// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/report/conflict_maps.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace detente::report {
namespace {

using ::testing::ElementsAre;

RunData run_of(std::size_t steps, const std::vector<std::string>& tasks) {
  RunData run;
  run.tasks = tasks;
  for (std::size_t s = 1; s <= steps; ++s) run.steps.push_back(static_cast<double>(s));
  return run;
}

void add_pair(Curves& cosines, const std::string& name, std::vector<double> values) {
  cosines.names.push_back(name);
  cosines.values.push_back(std::move(values));
}

// The means over spans, weighted with their steps, are the mean over the run.
TEST(ConflictOverTime, LosesNoStep) {
  for (const std::size_t steps : {1, 2, 39, 40, 41, 97, 1000}) {
    RunData run = run_of(steps, {"a", "b"});
    std::vector<double> cosines;
    double sum = 0;
    for (std::size_t s = 0; s < steps; ++s) {
      cosines.push_back(std::sin(static_cast<double>(s)));
      sum += cosines.back();
    }
    add_pair(run.cosines, "a|b", cosines);
    const auto map = conflict_over_time(run);
    ASSERT_TRUE(map);
    EXPECT_EQ(map->columns.size(), std::min(steps, kMostSpans));
    double weighted = 0;
    std::size_t next = 1;
    for (std::size_t j = 0; j < map->columns.size(); ++j) {
      const std::string& words = map->columns[j];
      const auto at = words.find(" to ");
      const std::size_t first = std::stoul(words);
      const std::size_t last = at == std::string::npos ? first : std::stoul(words.substr(at + 4));
      EXPECT_EQ(first, next);
      next = last + 1;
      weighted += map->at(0, j) * static_cast<double>(last - first + 1);
    }
    EXPECT_EQ(next, steps + 1);
    EXPECT_NEAR(weighted, sum, 1e-9);
  }
}

TEST(ConflictOverTime, ShowsTheMostOpposedPairsFirst) {
  RunData run = run_of(2, {});
  for (int p = 0; p < 20; ++p) {
    const double cosine = p == 7 ? -0.9 : 0.04 * p;
    add_pair(run.cosines, "a|t" + std::to_string(p), {cosine, cosine});
  }
  add_pair(run.cosines, "never|measured", {kNan, kNan});
  const auto map = conflict_over_time(run);
  ASSERT_TRUE(map);
  ASSERT_EQ(map->rows.size(), kMostPairRows);
  EXPECT_EQ(map->rows[0], "a · t7");
  EXPECT_EQ(map->rows[1], "a · t0");
  EXPECT_EQ(map->at(0, 0), -0.9);
  EXPECT_EQ(map->high, 1.0);
}

// Steps that are measured seldom leave no columns empty without need.
TEST(ConflictOverTime, HasNoMoreSpansThanMeasuredSteps) {
  RunData run = run_of(100, {"a", "b"});
  std::vector<double> cosines(100, kNan);
  for (std::size_t s = 9; s < 100; s += 10) cosines[s] = 0.1;
  add_pair(run.cosines, "a|b", cosines);
  const auto map = conflict_over_time(run);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->columns.size(), 10U);
  for (const double value : map->values) EXPECT_DOUBLE_EQ(value, 0.1);
}

TEST(ConflictMaps, AreNothingWhereNothingWasMeasured) {
  RunData run = run_of(3, {"a", "b", "c"});
  EXPECT_FALSE(conflict_over_time(run));
  EXPECT_FALSE(cosine_matrix(run));
  EXPECT_FALSE(layers_over_time(run));
  EXPECT_FALSE(layers_by_pair(run));
  add_pair(run.cosines, "a|b", {kNan, kNan, kNan});
  EXPECT_FALSE(cosine_matrix(run));
  EXPECT_FALSE(conflict_over_time(run));
  EXPECT_FALSE(layers_by_pair(run));
}

TEST(CosineMatrix, IsSymmetricWhateverThePairsNames) {
  RunData run = run_of(1, {"a", "b", "c"});
  add_pair(run.cosines, "b|a", {-0.25});
  add_pair(run.cosines, "b|c", {0.5});
  const auto map = cosine_matrix(run);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->at(0, 1), -0.25);
  EXPECT_EQ(map->at(1, 0), -0.25);
  EXPECT_EQ(map->at(2, 1), 0.5);
  EXPECT_TRUE(std::isnan(map->at(0, 2)));
}

TEST(Layers, KeepTheirOrderAndTheirMeans) {
  RunData run = run_of(2, {"a", "b", "c"});
  add_pair(run.cosines, "a|b", {0.1, 0.1});
  add_pair(run.cosines, "a|c", {-0.3, -0.3});
  for (const double shift : {0.0, 0.2}) {
    GroupCurves& group = run.groups.emplace_back();
    group.name = shift == 0 ? "last" : "first";
    add_pair(group.cosines, "a|b", {0.1 + shift, 0.3 + shift});
    add_pair(group.cosines, "a|c", {-0.3 + shift, kNan});
  }
  const auto time = layers_over_time(run);
  ASSERT_TRUE(time);
  EXPECT_THAT(time->rows, ElementsAre("last", "first"));
  EXPECT_THAT(time->values,
              ElementsAre(::testing::DoubleNear(-0.1, 1e-12),
                          ::testing::DoubleNear(0.3, 1e-12),
                          ::testing::DoubleNear(0.1, 1e-12),
                          ::testing::DoubleNear(0.5, 1e-12)));
  const auto pairs = layers_by_pair(run);
  ASSERT_TRUE(pairs);
  EXPECT_THAT(pairs->columns, ElementsAre("a · c", "a · b"));
  EXPECT_NEAR(pairs->at(0, 1), 0.2, 1e-12);
  EXPECT_NEAR(pairs->at(1, 0), -0.1, 1e-12);
}

TEST(Layers, OfVeryManyAreTheMostOpposedInTheirOrder) {
  RunData run = run_of(1, {"a", "b"});
  for (int g = 0; g < 60; ++g) {
    GroupCurves& group = run.groups.emplace_back();
    group.name = std::to_string(g);
    add_pair(group.cosines, "a|b", {g % 2 == 0 ? -0.5 : 0.5 - 0.001 * g});
  }
  const auto map = layers_over_time(run);
  ASSERT_TRUE(map);
  ASSERT_EQ(map->rows.size(), kMostLayerRows);
  EXPECT_EQ(map->rows.front(), "0");
  EXPECT_EQ(map->rows.back(), "59");
  for (std::size_t i = 1; i < map->rows.size(); ++i) {
    EXPECT_LT(std::stoi(map->rows[i - 1]), std::stoi(map->rows[i]));
  }
}

}  // namespace
}  // namespace detente::report
