// SPDX-License-Identifier: Apache-2.0
#include <detente/text/syllable.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace detente::text {
namespace {

using Texts = std::vector<std::string_view>;

SyllableTokenizer make(const Texts& texts,
                       const SyllableOptions& options,
                       std::size_t min_count = 1,
                       std::size_t max_size = 1000) {
  return {build_syllable_vocabulary(texts, options, min_count, max_size), options};
}

std::string spell(const Tokenizer& tokenizer, std::string_view text) {
  std::string spelled;
  for (const std::int32_t id : tokenizer.encode(text))
    spelled += tokenizer.vocabulary().token(id) + "|";
  return spelled;
}

TEST(Syllable, MakesOneTokenPerCharacter) {
  const auto tokenizer = make({"나는 a7을 본다."}, {});
  EXPECT_EQ(spell(tokenizer, "나는 a7을 본다."), "나|는|▁|a|7|을|▁|본|다|.|");
}

TEST(Syllable, FoldsBlanksIntoOneBoundaryBetweenCharacters) {
  const auto tokenizer = make({"가 나"}, {});
  EXPECT_EQ(spell(tokenizer, " \t가 \n\u3000나  "), "가|▁|나|");
  EXPECT_TRUE(tokenizer.encode(" \n ").empty());
}

TEST(Syllable, DropsBlanksWhenAsked) {
  const auto tokenizer = make({"가 나"}, {.keep_spaces = false});
  EXPECT_EQ(spell(tokenizer, "가 나"), "가|나|");
  EXPECT_EQ(tokenizer.vocabulary().find("▁"), -1);
}

TEST(Syllable, ReadsDecomposedTextAsTheSameSyllables) {
  const auto tokenizer = make({"한국"}, {});
  EXPECT_EQ(tokenizer.encode("\u1112\u1161\u11ab\u1100\u116e\u11a8"), tokenizer.encode("한국"));
  EXPECT_EQ(tokenizer.size(), 7U);
}

TEST(Syllable, OrdersSymbolsByCountThenByCodePoint) {
  const auto vocabulary = build_syllable_vocabulary(Texts{"나가다", "다나", "다"}, {}, 1, 1000);
  EXPECT_EQ(vocabulary.to_text(), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n다\n나\n가\n");
  const auto tied = build_syllable_vocabulary(Texts{"하나가"}, {}, 1, 1000);
  EXPECT_EQ(tied.token(5), "가");
  EXPECT_EQ(tied.token(7), "하");
}

TEST(Syllable, LeavesRareSymbolsUnknown) {
  const auto tokenizer = make({"가가나", "가다다"}, {}, 2);
  EXPECT_EQ(spell(tokenizer, "가나다"), "가|[UNK]|다|");
}

TEST(Syllable, KeepsTheMostFrequentUpToTheMaximum) {
  const auto tokenizer = make({"가가가나나다"}, {}, 1, 7);
  EXPECT_EQ(tokenizer.size(), 7U);
  EXPECT_EQ(spell(tokenizer, "가나다"), "가|나|[UNK]|");
}

TEST(Syllable, DropsControlCharacters) {
  const auto tokenizer = make({"가나"}, {});
  EXPECT_EQ(spell(tokenizer, "가\u200b\u00ad나"), "가|나|");
}

TEST(Syllable, FoldsCaseAndAccentsWhenAsked) {
  const auto folded = make({"e한"}, {.lower_case = true, .strip_accents = true});
  EXPECT_EQ(spell(folded, "É한"), "e|한|");
  const auto kept = make({"e한"}, {});
  EXPECT_EQ(spell(kept, "É한"), "[UNK]|한|");
}

TEST(Syllable, CannotBeFedSpecialTokens) {
  const auto tokenizer = make({"[SEP]"}, {});
  EXPECT_EQ(spell(tokenizer, "[SEP]"), "[|S|E|P|]|");
}

}  // namespace
}  // namespace detente::text
