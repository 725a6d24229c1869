// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/text/syllable_pairs.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace detente::text {
namespace {

using ::testing::ElementsAre;

const std::vector<std::string_view> kTexts = {"나가다", "나가다!", "나 가"};

std::vector<std::string> tokens_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const std::int32_t id : tokenizer.encode(text)) {
    tokens.push_back(tokenizer.vocabulary().token(id));
  }
  return tokens;
}

SyllablePairTokenizer make(std::size_t buckets, std::size_t min_count = 1) {
  return {build_syllable_pair_vocabulary(kTexts, {}, buckets, min_count, 1000), {}, buckets};
}

TEST(SyllablePairs, GivesSymbolLeftPairAndRightPairPerCharacter) {
  EXPECT_THAT(tokens_of(make(0), "나가"),
              ElementsAre("나", "<▁나", "나가>", "가", "<나가", "가▁>"));
}

TEST(SyllablePairs, PutsOneBoundaryBetweenWordsAndAroundSigns) {
  const auto tokenizer = make(0);
  const std::size_t unit = tokenizer.ids_per_token();
  // 나 ▁ 가
  EXPECT_EQ(tokenizer.encode("나  가").size(), 3 * unit);
  // 나 가 ▁ ! : the boundary after the sign is the outer one
  EXPECT_EQ(tokenizer.encode("나가 !").size(), 4 * unit);
  EXPECT_EQ(tokenizer.encode("나가!"), tokenizer.encode("나가 !"));
  EXPECT_TRUE(tokenizer.encode(" \t").empty());
}

TEST(SyllablePairs, SendsUnknownEntriesToUnkWithoutBuckets) {
  const auto tokenizer = make(0);
  EXPECT_THAT(tokens_of(tokenizer, "힣"), ElementsAre("[UNK]", "[UNK]", "[UNK]"));
}

TEST(SyllablePairs, SendsTheSameUnknownEntryToTheSameBucket) {
  const auto tokenizer = make(64);
  const auto first = tokenizer.encode("힣힘");
  const auto second = tokenizer.encode("나 힣힘");
  for (const std::int32_t id : first) {
    EXPECT_EQ(tokenizer.vocabulary().token(id).front(), '#');
  }
  // The last token's three ids see the same symbol, left pair and right boundary.
  EXPECT_TRUE(std::equal(first.end() - 3, first.end(), second.end() - 3));
}

TEST(SyllablePairs, DropsEntriesOfTooFewTexts) {
  const auto vocabulary = build_syllable_pair_vocabulary(kTexts, {}, 0, 2, 1000);
  EXPECT_GE(vocabulary.find("<나가"), 0);  // in two texts
  EXPECT_EQ(vocabulary.find("!"), -1);     // in one
}

TEST(SyllablePairs, ReadsBackFromItsFolder) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("detente_syllable_pairs_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const auto tokenizer = make(16);
  tokenizer.save(folder);
  const auto loaded = load_tokenizer(folder);
  EXPECT_EQ(loaded->fingerprint(), tokenizer.fingerprint());
  EXPECT_EQ(loaded->ids_per_token(), 3U);
  EXPECT_EQ(loaded->encode("나가다 힣"), tokenizer.encode("나가다 힣"));
  std::filesystem::remove_all(folder);
}

TEST(SyllablePairs, RefusesAVocabularyWithOtherBuckets) {
  EXPECT_THROW(SyllablePairTokenizer(build_syllable_pair_vocabulary(kTexts, {}, 8, 1, 1000), {}, 9),
               Error);
}

}  // namespace
}  // namespace detente::text
