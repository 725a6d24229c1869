// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/valuation/removal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace detente::valuation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The score is the sum of what is kept, so each line is known without a model.
double sum_of(const std::vector<double>& values, std::span<const std::size_t> kept) {
  double sum = 0;
  for (const std::size_t i : kept) sum += std::isfinite(values[i]) ? values[i] : 0;
  return sum;
}

TEST(Removal, TakesTheLowestTheHighestAndAnyoneFirst) {
  std::vector<double> values(10);
  std::iota(values.begin(), values.end(), 1.0);
  std::reverse(values.begin(), values.end());
  std::vector<std::vector<std::size_t>> asked;
  const RemovalCurve curve = removal_curve(values,
                                           [&](std::span<const std::size_t> kept) {
                                             EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
                                             asked.emplace_back(kept.begin(), kept.end());
                                             return sum_of(values, kept);
                                           },
                                           {.shares = {0.2, 0.5}, .seeds = 40, .seed = 1});
  ASSERT_EQ(curve.lines.size(), 3U);
  EXPECT_EQ(asked.size(), 1U + 2U * 42U);
  EXPECT_EQ(curve.lines[0].name, "lowest values first");
  EXPECT_THAT(curve.lines[0].shares, ElementsAre(0, 0.2, 0.5));
  EXPECT_THAT(curve.lines[0].removed, ElementsAre(0, 2, 5));
  EXPECT_THAT(curve.lines[0].scores, ElementsAre(55, 52, 40));  // 55 − (1 + 2), − (1 + … + 5)
  EXPECT_THAT(curve.lines[1].scores, ElementsAre(55, 36, 15));
  const RemovalLine& chance = curve.lines[2];
  EXPECT_NEAR(chance.scores[1], 44, 2);  // 8/10 of 55
  EXPECT_NEAR(chance.scores[2], 27.5, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LE(chance.low[i], chance.scores[i]);
    EXPECT_GE(chance.high[i], chance.scores[i]);
    EXPECT_GE(chance.low[i], curve.lines[1].scores[i]);
    EXPECT_LE(chance.high[i], curve.lines[0].scores[i]);
  }
  EXPECT_LT(chance.low[1], chance.high[1]);
}

TEST(Removal, WhatIsGoneStaysGone) {
  std::vector<double> values(30, 1.0);
  std::vector<std::set<std::size_t>> kept_sets;
  removal_curve(values,
                [&](std::span<const std::size_t> kept) {
                  kept_sets.emplace_back(kept.begin(), kept.end());
                  return 0.0;
                },
                {.shares = {0.1, 0.3, 0.6}, .seeds = 2, .seed = 5});
  // 1, then per share lowest, highest, random, random.
  ASSERT_EQ(kept_sets.size(), 13U);
  for (std::size_t line = 0; line < 4; ++line) {
    for (std::size_t share = 1; share < 3; ++share) {
      const auto& more = kept_sets[1 + 4 * (share - 1) + line];
      const auto& less = kept_sets[1 + 4 * share + line];
      EXPECT_TRUE(std::includes(more.begin(), more.end(), less.begin(), less.end()));
    }
  }
  // Values that are all alike do not go by the number of the row.
  std::set<std::size_t> first;
  for (std::size_t i = 0; i < 30; ++i) {
    if (!kept_sets[5].contains(i)) first.insert(i);
  }
  EXPECT_NE(first, (std::set<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Removal, UnknownValuesStayAndSoDoesOne) {
  const std::vector<double> values = {kNan, 3, 1, HUGE_VAL, 2};
  std::vector<std::size_t> last;
  const RemovalCurve curve =
      removal_curve(values,
                    [&](std::span<const std::size_t> kept) {
                      last.assign(kept.begin(), kept.end());
                      EXPECT_EQ(kept[0], 0U);
                      EXPECT_TRUE(std::find(kept.begin(), kept.end(), 3U) != kept.end());
                      return static_cast<double>(kept.size());
                    },
                    {.shares = {0.999}, .seeds = 1});
  EXPECT_THAT(curve.lines[0].removed, ElementsAre(0, 2));
  EXPECT_EQ(last.size(), 3U);
}

TEST(Removal, TheSameSeedTheSameCurve) {
  std::vector<double> values(50);
  std::iota(values.begin(), values.end(), 0.0);
  const auto score = [&](std::span<const std::size_t> kept) { return sum_of(values, kept); };
  const auto curve_of = [&](std::uint64_t seed) {
    return removal_curve(values, score, {.shares = {0.3}, .seeds = 3, .seed = seed})
        .lines[2]
        .scores;
  };
  EXPECT_EQ(curve_of(4), curve_of(4));
  EXPECT_NE(curve_of(4), curve_of(5));
}

TEST(Removal, EndsEarlyWithWhatThereIs) {
  const std::vector<double> values = {1, 2, 3, 4};
  std::size_t calls = 0;
  const RemovalCurve curve = removal_curve(
      values,
      [&](std::span<const std::size_t> kept) { return sum_of(values, kept); },
      {.shares = {0.25, 0.5}, .seeds = 1, .progress = [&](std::size_t done, std::size_t total) {
         EXPECT_EQ(total, 7U);
         ++calls;
         return done < 5;
       }});
  for (const RemovalLine& line : curve.lines) EXPECT_EQ(line.scores.size(), line.shares.size());
  EXPECT_EQ(curve.lines[0].scores.size(), 2U);
  EXPECT_GT(calls, 2U);
}

TEST(Removal, RefusesWhatCannotBeRemoved) {
  const auto score = [](std::span<const std::size_t>) { return 0.0; };
  const std::vector<double> two = {1, 2};
  const auto refused = [&](const std::vector<double>& values, RemovalOptions options) {
    try {
      removal_curve(values, score, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused(two, {.shares = {}}), HasSubstr("no share"));
  EXPECT_THAT(refused(two, {.shares = {0.0}}), HasSubstr("above 0 and below 1"));
  EXPECT_THAT(refused(two, {.shares = {1.0}}), HasSubstr("above 0 and below 1"));
  EXPECT_THAT(refused(two, {.shares = {kNan}}), HasSubstr("above 0 and below 1"));
  EXPECT_THAT(refused(two, {.shares = {0.4, 0.2}}), HasSubstr("0.2 comes after 0.4"));
  EXPECT_THAT(refused(two, {.shares = {0.4}, .seeds = 0}), HasSubstr("0 random orders"));
  EXPECT_THAT(refused({}, {.shares = {0.4}}), HasSubstr("of 0 examples with a value"));
  EXPECT_THAT(refused({1, kNan}, {.shares = {0.4}}), HasSubstr("of 1 examples with a value"));
}

TEST(Removal, ALineForEachPoint) {
  const std::vector<RemovalCurve> curves = {
      {"a, \"b\"",
       "accuracy",
       {{"at random", {0, 0.5}, {0.9, kNan}, {0.8, 0.7}, {1, 0.9}, {0, 5}}}},
      {"c", "score", {{"lowest values first", {0}, {1}}}}};
  EXPECT_EQ(removal_csv(curves),
            "task,metric,order,share,removed,score,low,high\n"
            "\"a, \"\"b\"\"\",accuracy,at random,0,0,0.9,0.8,1\n"
            "\"a, \"\"b\"\"\",accuracy,at random,0.5,5,,0.7,0.9\n"
            "c,score,lowest values first,0,,1,,\n");
}

}  // namespace
}  // namespace detente::valuation
