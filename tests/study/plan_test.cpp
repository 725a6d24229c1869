// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/study/plan.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>

#include <set>

namespace detente::study {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(Methods, AreSplitOutsideOfBrackets) {
  const auto methods = parse_methods("ew, cagrad[c=0.2,rescale=none] ,pcgrad[a = b; c=d]");
  ASSERT_EQ(methods.size(), 3U);
  EXPECT_EQ(methods[0].label, "ew");
  EXPECT_TRUE(methods[0].options.empty());
  EXPECT_EQ(methods[1].method, "cagrad");
  EXPECT_EQ(methods[1].label, "cagrad[c=0.2,rescale=none]");
  EXPECT_THAT(methods[1].options, ElementsAre(Pair("c", "0.2"), Pair("rescale", "none")));
  EXPECT_THAT(methods[2].options, ElementsAre(Pair("a", "b"), Pair("c", "d")));
}

TEST(Methods, AreRefusedWhereTheyAreNone) {
  for (const char* text : {"",
                           ",",
                           "ew,",
                           "ew,ew",
                           "cagrad[c=1",
                           "cagrad]c[",
                           "cagrad[c]",
                           "[c=1]",
                           "cagrad[=1]",
                           "cagrad[c=]"}) {
    EXPECT_EQ(error_of([&] { parse_methods(text); }).code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST(Grid, IsReadAndRefused) {
  const auto grid = parse_grid(std::vector<std::string>{"balance.c=0.2, 0.4", "x=[1,2],[3]"});
  EXPECT_THAT(grid[0].values, ElementsAre("0.2", "0.4"));
  EXPECT_THAT(grid[1].values, ElementsAre("[1,2]", "[3]"));
  for (const std::vector<std::string>& texts :
       {std::vector<std::string>{"c"}, {"=1"}, {"c="}, {"c=1,1"}, {"c=1,,2"}, {"c=1", "c=2"}}) {
    EXPECT_EQ(error_of([&] { parse_grid(texts); }).code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Plan, HasEverySettingOfEveryMethodAndABaselineForEachTask) {
  const auto methods = parse_methods("ew,cagrad[c=0.2]");
  const auto grid = parse_grid(std::vector<std::string>{"balance.c=1,2", "optimizer.lr=3,4"});
  const std::vector<Baseline> tasks{{"a \"b\"", "r2"}, {"../c", "f1"}};
  const auto variants =
      plan_variants(methods, grid, tasks, [](const MethodSpec* m, const GridAxis& axis) {
        return axis.key == "optimizer.lr" || (m != nullptr && m->method == "cagrad");
      });
  ASSERT_EQ(variants.size(), 2U + 4U + 2U + 2U);
  EXPECT_EQ(variants[0].name(), "ew (optimizer.lr=3)");
  EXPECT_THAT(
      variants[2].overrides,
      ElementsAre("balance.method=cagrad", "balance.c=0.2", "balance.c=1", "optimizer.lr=3"));
  EXPECT_EQ(variants[6].name(), "single task a \"b\" (optimizer.lr=3)");
  EXPECT_THAT(variants[6].overrides,
              ElementsAre("balance.method=ew",
                          "train.tasks=[\"a \\\"b\\\"\"]",
                          "train.select=\"a \\\"b\\\".r2\"",
                          "optimizer.lr=3"));
  std::set<std::string> folders;
  for (const Variant& variant : variants) {
    EXPECT_TRUE(folders.insert(variant.folder).second) << variant.folder;
    EXPECT_EQ(variant.folder.find_first_of("/\\\" "), std::string::npos);
    EXPECT_NE(variant.folder.front(), '.');
  }
}

TEST(Plan, FoldersOfLongAndLikeNamesDiffer) {
  const std::string longest(200, 'x');
  const std::vector<Baseline> tasks{
      {longest + "1", "f1"}, {longest + "2", "f1"}, {"a/b", "f1"}, {"a b", "f1"}};
  const auto variants =
      plan_variants({}, {}, tasks, [](const MethodSpec*, const GridAxis&) { return true; });
  std::set<std::string> folders;
  for (const Variant& variant : variants) EXPECT_TRUE(folders.insert(variant.folder).second);
}

TEST(ParseSeeds, TakesHowManyOrWhichOnes) {
  using Seeds = std::vector<std::int64_t>;
  EXPECT_EQ(parse_seeds("3"), (Seeds{0, 1, 2}));
  EXPECT_EQ(parse_seeds("0,1,2"), (Seeds{0, 1, 2}));
  EXPECT_EQ(parse_seeds(" 7, 4 ,11"), (Seeds{7, 4, 11}));
  EXPECT_EQ(parse_seeds("5,"), (Seeds{5}));
  for (const char* text : {"",
                           "0",
                           "-1",
                           "x",
                           "3x",
                           "1.5",
                           "10001",
                           ",",
                           "1,,2",
                           "1,1",
                           "1,-2",
                           "1,x",
                           "0-4",
                           "9e15,1",
                           "99999999999999999999,1"}) {
    EXPECT_THAT(error_of([&] { parse_seeds(text); }).what(), HasSubstr("4,7,11; one alone: 4,"))
        << text;
  }
}

}  // namespace
}  // namespace detente::study
