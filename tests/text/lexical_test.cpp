// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/text/lexical.h>
#include <detente/text/unicode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

namespace detente::text {
namespace {

constexpr double kTolerance = 1e-12;
using Ids = std::vector<std::int32_t>;

double feature(const char* name, const char* a, const char* b) {
  const auto& names = lexical_feature_names();
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return lexical_features(a, b).at(static_cast<std::size_t>(found - names.begin()));
}

const char* const kSentences[] = {"",
                                  "가",
                                  "가나",
                                  "가 나 다",
                                  "비행기가 이륙하고 있다.",
                                  "비행기가 3대 이륙했다!",
                                  "A plane",
                                  "12월 25일",
                                  "!!!"};

TEST(LexicalFeatures, LieInTheUnitIntervalAndAreSymmetric) {
  for (const char* a : kSentences) {
    for (const char* b : kSentences) {
      const auto forward = lexical_features(a, b);
      ASSERT_EQ(forward.size(), lexical_feature_names().size());
      EXPECT_EQ(forward, lexical_features(b, a)) << a << " / " << b;
      for (const double value : forward)
        EXPECT_TRUE(value >= 0.0 && value <= 1.0) << a << " / " << b;
    }
  }
}

TEST(LexicalFeatures, AreOneForEqualSentencesInAnyNormalForm) {
  for (const char* text : kSentences) {
    for (const double value : lexical_features(text, normalize_nfd(text))) {
      EXPECT_EQ(value, 1.0) << text;
    }
  }
}

TEST(LexicalFeatures, AreZeroWhereNothingIsShared) {
  for (const char* name : {"bigram_jaccard",
                           "unigram_jaccard",
                           "trigram_jaccard",
                           "word_jaccard",
                           "stem_jaccard",
                           "containment",
                           "subsequence"}) {
    EXPECT_EQ(feature(name, "가나다라", "마바사아"), 0.0) << name;
  }
  EXPECT_EQ(feature("number_jaccard", "12", "1"), 0.0);
}

TEST(BigramJaccard, CountsRepeatedPairs) {
  // {가나, 나가, 가나} and {가나}: 1 shared of 3.
  EXPECT_NEAR(bigram_jaccard("가나가나", "가나"), 1.0 / 3.0, kTolerance);
}

TEST(BigramJaccard, IgnoresBlanks) { EXPECT_EQ(bigram_jaccard("가 나다", "가나 다"), 1.0); }

TEST(LexicalFeatures, HaveTheValuesOfTheirDefinitions) {
  // 가나다라 and 가나마: pairs {가나 나다 다라}, {가나 나마}.
  EXPECT_NEAR(feature("bigram_jaccard", "가나다라", "가나마"), 1.0 / 4.0, kTolerance);
  EXPECT_NEAR(feature("containment", "가나다라", "가나마"), 1.0 / 2.0, kTolerance);
  EXPECT_NEAR(feature("unigram_jaccard", "가나다라", "가나마"), 2.0 / 5.0, kTolerance);
  EXPECT_NEAR(feature("trigram_jaccard", "가나다라", "나다라"), 1.0 / 2.0, kTolerance);
  EXPECT_NEAR(feature("subsequence", "가나다라", "가다마"), 2.0 / 4.0, kTolerance);
  EXPECT_NEAR(feature("length_ratio", "가나 다라", "가나마"), 3.0 / 4.0, kTolerance);
  EXPECT_NEAR(feature("word_jaccard", "나는 간다.", "너는 간다"), 1.0 / 3.0, kTolerance);
  EXPECT_NEAR(feature("stem_jaccard", "학교에 갔다", "학교가 크다"), 1.0 / 3.0, kTolerance);
  EXPECT_NEAR(feature("number_jaccard", "3시 15분", "15분 4초"), 1.0 / 3.0, kTolerance);
}

TEST(LexicalFeatures, SeeThroughConjugationByJamo) {
  // 했다 = ㅎㅐㅆㄷㅏ and 한다 = ㅎㅏㄴㄷㅏ share no syllable but the last.
  EXPECT_GT(feature("jamo_jaccard", "공부했다", "공부한다"),
            feature("trigram_jaccard", "공부했다", "공부한다"));
}

TEST(IdfTable, FollowsItsFormula) {
  const std::vector<Ids> sentences = {{0, 1, 1}, {1}, {1, 2}};
  const IdfTable table = IdfTable::fit(sentences, 4);
  EXPECT_NEAR(table.idf(1), 1.0, kTolerance);  // in all sentences, however often in one
  EXPECT_NEAR(table.idf(0), std::log(4.0 / 2.0) + 1.0, kTolerance);
  EXPECT_NEAR(table.idf(3), std::log(4.0) + 1.0, kTolerance);
}

TEST(IdfTable, WeighsRareTokensMore) {
  const std::vector<Ids> sentences = {{0, 1}, {0, 2}, {0, 3}};
  const IdfTable table = IdfTable::fit(sentences, 4);
  const Ids query = {0, 1};
  EXPECT_GT(table.overlap(query, Ids{1}), table.overlap(query, Ids{0}));
  EXPECT_GT(table.cosine(query, Ids{1}), table.cosine(query, Ids{0}));
  const double common = table.idf(0);
  const double rare = table.idf(1);
  EXPECT_NEAR(table.overlap(query, Ids{0, 2}), common / (common + 2 * rare), kTolerance);
  EXPECT_NEAR(table.cosine(query, Ids{0, 2}),
              common * common / (common * common + rare * rare),
              kTolerance);
}

TEST(IdfTable, CountsRepetitions) {
  const IdfTable table = IdfTable::fit(std::vector<Ids>{{0}, {1}}, 2);
  EXPECT_NEAR(table.overlap(Ids{0, 0}, Ids{0}), 0.5, kTolerance);
}

TEST(IdfTable, TreatsEmptySentencesAsTheyAre) {
  const IdfTable table = IdfTable::fit(std::vector<Ids>{{0}}, 1);
  EXPECT_EQ(table.overlap(Ids{}, Ids{}), 1.0);
  EXPECT_EQ(table.cosine(Ids{}, Ids{}), 1.0);
  EXPECT_EQ(table.overlap(Ids{0}, Ids{}), 0.0);
  EXPECT_EQ(table.cosine(Ids{0}, Ids{}), 0.0);
}

TEST(IdfTable, RoundTripsThroughJson) {
  const IdfTable table = IdfTable::fit(std::vector<Ids>{{0, 1}, {1}, {2}}, 5);
  const IdfTable back = IdfTable::from_json(Json::parse(table.to_json().dump()));
  EXPECT_EQ(back.values(), table.values());
}

TEST(IdfTable, RefusesForeignIdsAndForeignJson) {
  EXPECT_THROW(IdfTable::fit(std::vector<Ids>{{3}}, 3), Error);
  EXPECT_THROW(IdfTable::fit(std::vector<Ids>{{-1}}, 3), Error);
  for (const char* text : {"{}", "[1, \"a\"]", "[0]", "[-1]", "[null]"}) {
    try {
      IdfTable::from_json(Json::parse(text));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData) << text;
    }
  }
}

// The table of all beginnings, as the definition has it.
std::size_t slow_common_subsequence(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> t(a.size() + 1, std::vector<std::size_t>(b.size() + 1, 0));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      t[i][j] = a[i - 1] == b[j - 1] ? t[i - 1][j - 1] + 1 : std::max(t[i - 1][j], t[i][j - 1]);
    }
  }
  return t[a.size()][b.size()];
}

TEST(LexicalFeatures, FindTheLongestCommonSubsequence) {
  const auto& names = lexical_feature_names();
  const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), "subsequence") -
                                           names.begin());
  Rng rng(3);
  for (int draw = 0; draw < 400; ++draw) {
    std::string a;
    std::string b;
    const std::uint64_t letters = 1 + rng.below(26);
    for (std::uint64_t i = 1 + rng.below(200); i > 0; --i)
      a += static_cast<char>('a' + rng.below(letters));
    for (std::uint64_t i = 1 + rng.below(200); i > 0; --i)
      b += static_cast<char>('a' + rng.below(letters));
    EXPECT_DOUBLE_EQ(lexical_features(a, b)[at],
                     static_cast<double>(slow_common_subsequence(a, b)) /
                         static_cast<double>(std::max(a.size(), b.size())))
        << a << " " << b;
  }
}

TEST(LexicalFeatures, TakeLongTexts) {
  std::string a;
  std::string b;
  Rng rng(4);
  for (int i = 0; i < 100000; ++i) {
    a += static_cast<char>('a' + rng.below(26));
    b += static_cast<char>('a' + rng.below(26));
  }
  const auto start = std::chrono::steady_clock::now();
  for (const double value : lexical_features(a, b)) EXPECT_TRUE(value >= 0 && value <= 1) << value;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));  // 2 s unhurried
}

}  // namespace
}  // namespace detente::text
