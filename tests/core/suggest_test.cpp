// SPDX-License-Identifier: Apache-2.0
#include <detente/core/suggest.h>
#include <gtest/gtest.h>

#include <vector>

namespace detente {
namespace {

const std::vector<std::string> kNames = {"cagrad", "pcgrad", "mgda", "learning_rate"};

TEST(Suggest, CountsEditsAndTranspositions) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
  EXPECT_EQ(edit_distance("mgda", "mdga"), 1u);
}

TEST(Suggest, FindsASlipOfTheFinger) {
  EXPECT_EQ(nearest_name("cagrda", kNames), "cagrad");
  EXPECT_EQ(nearest_name("learning-rate", kNames), "learning_rate");
  EXPECT_EQ(did_you_mean("mdga", kNames), " Did you mean 'mgda'?");
}

TEST(Suggest, KeepsQuietWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("optimizer", kNames), "");
  EXPECT_EQ(did_you_mean("xyz", kNames), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(Suggest, CompletesABeginningThatOnlyOneNameHas) {
  EXPECT_EQ(nearest_name("learn", kNames), "learning_rate");
  EXPECT_EQ(nearest_name("LEA", kNames), "learning_rate");
  EXPECT_EQ(nearest_name("le", kNames), "");
  const std::vector<std::string> names = {"learning_rate", "learning_steps"};
  EXPECT_EQ(nearest_name("learn", names), "");
}

TEST(Suggest, JoinsNames) {
  EXPECT_EQ(join_names(std::vector<std::string>{"a", "b"}), "a, b");
  EXPECT_EQ(join_names({}), "");
}

TEST(Suggest, EndsAMessageOnAnUnknownName) {
  const std::vector<std::string> names = {"mgda", "ew"};
  EXPECT_EQ(expected_one_of("mdga", names), "expected one of: mgda, ew. Did you mean 'mgda'?");
  EXPECT_EQ(expected_one_of("xyz", names), "expected one of: mgda, ew.");
}

TEST(Suggest, MindsNoCapitals) {
  EXPECT_EQ(nearest_name("CAGrad", kNames), "cagrad");
  EXPECT_EQ(did_you_mean("MGDA", kNames), " Did you mean 'mgda'?");
  const std::vector<std::string> names = {"Score", "Same"};
  EXPECT_EQ(nearest_name("score", names), "Score");
}

TEST(Suggest, NamesTheNearestTenOfMany) {
  std::vector<std::string> names;
  for (int i = 0; i < 30000; ++i) names.push_back("gene_" + std::to_string(i));
  const std::string text = list_names("gene_123x", names);
  EXPECT_LT(text.size(), 200U);
  EXPECT_NE(text.find("gene_123,"), std::string::npos) << text;
  EXPECT_NE(text.find("and 29990 more"), std::string::npos) << text;
}

TEST(Suggest, TakesNamesOfAnyLength) {
  const std::vector<std::string> names = {std::string(1000000, 'x'), "cagrad"};
  EXPECT_EQ(nearest_name(std::string(1000000, 'y'), names), "");
  EXPECT_EQ(nearest_name("cagrda", names), "cagrad");
}

}  // namespace
}  // namespace detente
