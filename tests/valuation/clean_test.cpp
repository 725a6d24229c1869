// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/valuation/clean.h>
#include <detente/valuation/suspects.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/valuation/made_values.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace detente::valuation {
namespace {

using test::table_of;
using test::two_task_table;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::int64_t> removed(const ValueTable& table, CleanRule rule) {
  if (rule.judged == kAll) rule.judged = "sort";
  return choose_removed(table, rule).ids;
}

TEST(Clean, RemovesTheLowestShare) {
  const ValueTable table = table_of({5, 1, 4, 2, 3, 9, 8, 7, 6, 10});
  EXPECT_THAT(removed(table, {.quantile = 0.3}), ElementsAre(1, 3, 4));
  EXPECT_THAT(removed(table, {.quantile = 0.05}), IsEmpty());
  EXPECT_EQ(removed(table, {.quantile = 0.999}).size(), 9U);
  EXPECT_EQ(*choose_removed(table, {.judged = "sort", .quantile = 0.3}).threshold, 4);
}

TEST(Clean, EqualValuesGoTogetherOrStay) {
  EXPECT_THAT(removed(table_of({1, 1, 1, 1}), {.quantile = 0.5}), IsEmpty());
  EXPECT_THAT(removed(table_of({1, 0, 1, 1}), {.quantile = 0.5}), ElementsAre(1));
}

TEST(Clean, RemovesBelowABoundAndByVerdict) {
  const ValueTable table = table_of({-3, -1, 0, 2, kNan}, {0.5, 0.6, 0.1, 0.1, 0.1});
  EXPECT_THAT(removed(table, {.below = 0}), ElementsAre(0, 1));
  EXPECT_THAT(removed(table, {.harmful = true}), ElementsAre(0));
  EXPECT_THAT(removed(table, {.below = -2, .harmful = true}), ElementsAre(0));
  const Cleaning none = choose_removed(table_of({-3, 1}), {.judged = "sort", .harmful = true});
  EXPECT_THAT(none.ids, IsEmpty());
  EXPECT_FALSE(none.has_errors);
}

TEST(Clean, UnknownValuesStay) {
  const ValueTable table = table_of({kNan, -1, kNan, 1});
  EXPECT_THAT(removed(table, {.below = 5}), ElementsAre(1, 3));
  EXPECT_EQ(choose_removed(table, {.judged = "sort", .below = 0}).known, 2U);
  EXPECT_THAT(removed(table_of({kNan, kNan}), {.quantile = 0.5}), IsEmpty());
}

TEST(Clean, SparesWhatIsWorthSomethingToOthers) {
  ValueTable table = table_of({-1, -2, -3, 4});
  table.ids = {40, 30, 20, 10};
  table.series.push_back({kAll, "same", kAll, {1, -1, kNan, 1}});
  EXPECT_THAT(removed(table, {.below = 0}), ElementsAre(20, 30, 40));
  EXPECT_THAT(removed(table, {.spare = {"same"}, .below = 0}), ElementsAre(20, 30));
}

TEST(Clean, GoesByOneModality) {
  const ValueTable table = two_task_table(50);
  const CleanRule sound{
      .judged = "image_digit", .trained = "image_digit", .modality = "audio", .below = 0};
  std::size_t below = 0;
  for (const double value : table.series[1].values) below += value < 0 ? 1 : 0;
  EXPECT_EQ(choose_removed(table, sound).ids.size(), below);
}

TEST(Clean, RefusesRulesThatSayNothing) {
  const ValueTable table = table_of({1, 2, 3});
  const auto message = [&](const CleanRule& rule) {
    try {
      choose_removed(table, rule);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message({.judged = "sort"}), HasSubstr("nothing says which examples go"));
  EXPECT_THAT(message({.judged = "sprt", .below = 0}), HasSubstr("'sort'"));
  EXPECT_THAT(message({.judged = "sort", .trained = "x", .below = 0}), HasSubstr("'x'"));
  EXPECT_THAT(message({.judged = "sort", .quantile = 1.5}), HasSubstr("1.5"));
  EXPECT_THAT(message({.judged = "sort", .quantile = kNan}), HasSubstr("quantile"));
  EXPECT_THAT(message({.judged = "sort", .below = kNan}), HasSubstr("NaN"));
  EXPECT_THAT(message({.judged = "sort", .below = 100}), HasSubstr("all 3 examples"));
}

TEST(Clean, DrawsAsManyAtRandom) {
  const CleanRule kSort{.judged = "sort"};
  ValueTable table = table_of(std::vector<double>(100, 1));
  for (std::int64_t& id : table.ids) id *= 3;
  const auto first = random_removed(table, kSort, 20, 1);
  EXPECT_EQ(first.size(), 20U);
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 20U);
  for (const std::int64_t id : first) EXPECT_EQ(id % 3, 0);
  EXPECT_EQ(first, random_removed(table, kSort, 20, 1));
  EXPECT_NE(first, random_removed(table, kSort, 20, 2));
  EXPECT_THAT(random_removed(table, kSort, 0, 1), IsEmpty());
  EXPECT_THROW(random_removed(table, kSort, 100, 1), Error);
  EXPECT_THROW(random_removed(table_of({}), kSort, 1, 1), Error);
  // Of a task with few labels, from those that have one.
  std::vector<double> few(100, kNan);
  for (std::size_t i = 0; i < 10; ++i) few[7 * i] = static_cast<double>(i);
  const ValueTable partly = table_of(few);
  for (const std::int64_t id : random_removed(partly, kSort, 9, 1)) {
    EXPECT_TRUE(std::isfinite(few[static_cast<std::size_t>(id)])) << id;
  }
  EXPECT_THROW(random_removed(partly, kSort, 11, 1), Error);
}

std::vector<std::int64_t> ids_of(const std::vector<Suspect>& found) {
  std::vector<std::int64_t> ids;
  for (const Suspect& suspect : found) ids.push_back(suspect.id);
  return ids;
}

TEST(Suspects, ComeLowestFirst) {
  const ValueTable table = table_of({3, -2, kNan, 1, -5});
  const auto found = suspects(table, {{"sort", {"a", "b", "c", "", "e"}}}, 10);
  EXPECT_THAT(ids_of(found), ElementsAre(4, 1, 0));
  EXPECT_EQ(found[0].rank, 1U);
  EXPECT_EQ(found[0].label, "e");
  EXPECT_EQ(found[0].value, -5);
  EXPECT_TRUE(std::isnan(found[0].disagreement));
  EXPECT_EQ(suspects(table, {{"sort", {"a", "b", "c", "", "e"}}}, 1).size(), 1U);
}

TEST(Suspects, CountDisagreementAsMuch) {
  const ValueTable table = table_of({-4, -3, -2, -1});
  const auto found = suspects(table, {{"sort", {"a", "a", "a", "a"}, {0.1, 0.9, 0.2, 0.3}}}, 10);
  // Places 0 1 2 3 by value and 3 0 2 1 by disagreement.
  EXPECT_THAT(ids_of(found), ElementsAre(1, 0, 2, 3));
  EXPECT_EQ(found[0].disagreement, 0.9);
  const auto unknown =
      suspects(table, {{"sort", {"a", "a", "a", "a"}, {kNan, kNan, kNan, kNan}}}, 10);
  EXPECT_THAT(ids_of(unknown), ElementsAre(0, 1, 2, 3));
}

TEST(Suspects, GoByTheTasksOwnValues) {
  ValueTable table = table_of({1, 1});
  table.series[0].task_trained = "other";
  table.series.push_back({"sort", "sort", kAll, {2, -9}});
  table.series[0].values = {-100, 100};
  EXPECT_THAT(ids_of(suspects(table, {{"sort", {"a", "a"}}}, 2)), ElementsAre(1, 0));
  EXPECT_THAT(suspects(table, {{"unjudged", {"a", "a"}}}, 2), IsEmpty());
}

TEST(Suspects, AreWrittenAsTheyAre) {
  const ValueTable table = table_of({0.1, -1e-300});
  const std::string csv =
      suspects_csv(suspects(table, {{"sort", {"a,\"b\"", "c\nd"}, {kNan, 0.5}}}, 2));
  EXPECT_EQ(csv,
            "id,task,label,value,disagreement,rank\n"
            "1,sort,\"c\nd\",-1e-300,0.5,1\n"
            "0,sort,\"a,\"\"b\"\"\",0.1,,2\n");
  EXPECT_EQ(suspects_csv({}), "id,task,label,value,disagreement,rank\n");
}

TEST(Suspects, RefuseOtherSizes) {
  const ValueTable table = table_of({1, 2});
  EXPECT_THROW(suspects(table, {{"sort", {"a"}}}, 1), Error);
  EXPECT_THROW(suspects(table, {{"sort", {"a", "b"}, {1}}}, 1), Error);
  EXPECT_THROW(suspects(table, {{"sort", {"a", "b"}}, {"sort", {"a", "b"}}}, 1), Error);
}

}  // namespace
}  // namespace detente::valuation
