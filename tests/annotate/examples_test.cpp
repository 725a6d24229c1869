// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/examples.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Examples made(Encoder* encoder) {
  std::vector<Example> list;
  for (const char* text :
       {"the red car", "a blue sea", "the red cars", "red", "zzz", "the red car!"}) {
    list.push_back({text, text, {0}});
  }
  list[3].labels[0].reset();
  return {list, encoder};
}

std::vector<double> vector_of(const std::string& text) {
  LexicalEncoder encoder;
  CallKey key;
  return encoder.encode(std::vector<std::string>{text}, key)[0];
}

TEST(Examples, AreTheFirstWithALabel) {
  EXPECT_THAT(made(nullptr).first(0, 3, "x"), ElementsAre(0, 1, 2));
  EXPECT_THAT(made(nullptr).first(0, 99, "x"), ElementsAre(0, 1, 2, 4, 5));
  EXPECT_THAT(made(nullptr).first(0, 0, "x"), IsEmpty());
}

TEST(Examples, AreNeverTheRowItself) {
  LexicalEncoder encoder;
  const Examples examples = made(&encoder);
  EXPECT_THAT(examples.first(0, 2, " A  BLUE sea."), ElementsAre(0, 2));
  EXPECT_THAT(examples.nearest(0, 1, "The red car", vector_of("The red car")), ElementsAre(2));
}

TEST(Examples, StandInAscendingLikeness) {
  LexicalEncoder encoder;
  const Examples examples = made(&encoder);
  const std::string row = "the red carts";
  const std::vector<double> vector = vector_of(row);
  const auto order = examples.nearest(0, 99, row, vector);
  ASSERT_EQ(order.size(), 5u);
  for (std::size_t i = 1; i < order.size(); ++i) {
    EXPECT_LE(cosine(vector_of(examples[order[i - 1]].plain), vector),
              cosine(vector_of(examples[order[i]].plain), vector));
  }
  // Equal ones: the earlier counts as nearer. "the red car" and "the red car!" are the same once normalised.
  EXPECT_LT(std::find(order.begin(), order.end(), 5u), std::find(order.begin(), order.end(), 0u));
}

TEST(LexicalEncoder, MakesVectorsOfLengthOne) {
  EXPECT_NEAR(cosine(vector_of("한국어 text"), vector_of("한국어  TEXT")), 1, 1e-12);
  EXPECT_EQ(cosine(vector_of(""), vector_of("text")), 0);
  EXPECT_LT(cosine(vector_of("abc"), vector_of("xyz")), 0.1);
}

}  // namespace
}  // namespace detente::annotate
