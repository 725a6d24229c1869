// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/text/unicode.h>
#include <detente/text/wordpiece.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::text {
namespace {

using Texts = std::vector<std::string_view>;
using Words = std::vector<std::string>;

const Vocabulary& koelectra() {
  static const Vocabulary vocabulary =
      Vocabulary::read(DETENTE_SOURCE_DIR "/data/vocab/koelectra.txt");
  return vocabulary;
}

const Json& golden() {
  static const Json json =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/text/wordpiece.json"));
  return json;
}

void expect_golden(const char* key, const WordpieceOptions& options) {
  const WordpieceTokenizer tokenizer(koelectra(), options);
  ASSERT_FALSE(golden().at(key).empty());
  for (const auto& entry : golden().at(key)) {
    const auto text = entry.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), entry.at("ids").get<std::vector<std::int32_t>>()) << text;
  }
}

TEST(WordpieceGolden, CasedIdsAreHuggingFaces) {
  ASSERT_GE(golden().at("cased").size(), 200U);
  expect_golden("cased", {});
}

TEST(WordpieceGolden, LowerCasedIdsAreHuggingFaces) {
  expect_golden("lower_case", {.lower_case = true});
}

TEST(WordpieceGolden, StrippedIdsAreHuggingFaces) {
  expect_golden("lower_case_strip_accents", {.lower_case = true, .strip_accents = true});
}

Vocabulary small(Words extra) {
  Words tokens = Vocabulary().tokens();
  tokens.insert(tokens.end(), extra.begin(), extra.end());
  return Vocabulary(tokens, "test");
}

Words pieces(const Tokenizer& tokenizer, std::string_view text) {
  Words list;
  for (const std::int32_t id : tokenizer.encode(text))
    list.push_back(tokenizer.vocabulary().token(id));
  return list;
}

TEST(Wordpiece, TakesTheLongestEntryFromTheLeft) {
  const WordpieceTokenizer tokenizer(small({"은", "은행", "##행", "##나무", "##행나무"}), {});
  EXPECT_EQ(pieces(tokenizer, "은행나무"), (Words{"은행", "##나무"}));
}

TEST(Wordpiece, MakesOneUnknownOfAWordThatCannotBeFinished) {
  const WordpieceTokenizer tokenizer(small({"은행", "가"}), {});
  EXPECT_EQ(pieces(tokenizer, "은행나무 가"), (Words{"[UNK]", "가"}));
}

TEST(Wordpiece, GivesUpOnWordsOverAHundredCharacters) {
  const WordpieceTokenizer tokenizer(small({"가", "##가"}), {});
  std::string word;
  for (int i = 0; i < 100; ++i) word += "가";
  EXPECT_EQ(tokenizer.encode(word).size(), 100U);
  EXPECT_EQ(pieces(tokenizer, word + "가"), Words{"[UNK]"});
}

TEST(Wordpiece, KeepsHangulWholeWhereBertTakesItApart) {
  // The reference's accent stripping decomposes syllables, so every Korean word becomes [UNK].
  const WordpieceTokenizer tokenizer(koelectra(), {.lower_case = true, .strip_accents = true});
  const WordpieceTokenizer plain(koelectra(), {});
  EXPECT_EQ(tokenizer.encode("한국은행이 금리를 올렸다."),
            plain.encode("한국은행이 금리를 올렸다."));
}

TEST(Wordpiece, ReadsDecomposedTextAsComposed) {
  const WordpieceTokenizer tokenizer(koelectra(), {});
  EXPECT_EQ(tokenizer.encode(normalize_nfd("한국어 문장")), tokenizer.encode("한국어 문장"));
}

TEST(Wordpiece, ReadsSpecialTokensInTheTextAsText) {
  const WordpieceTokenizer tokenizer(koelectra(), {});
  const auto ids = tokenizer.encode("가 [SEP] 나 [PAD]");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer.special().sep), 0);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer.special().pad), 0);
}

TEST(BasicTokenize, SplitsAtBlanksPunctuationAndIdeographs) {
  EXPECT_EQ(basic_tokenize("한국어,좋다!  大韓aB", {}),
            (Words{"한국어", ",", "좋다", "!", "大", "韓", "aB"}));
  EXPECT_EQ(basic_tokenize("ÀB 각", {.lower_case = true, .strip_accents = true}),
            (Words{"ab", "각"}));
}

TEST(BasicTokenize, JoinsAroundRemovedCharacters) {
  EXPECT_EQ(basic_tokenize("가\u200b나 \ufffd 다", {}), (Words{"가나", "다"}));
}

TEST(TrainWordpiece, JoinsTheMostFrequentPairFirst) {
  // ab: 3, bc: 2, xy: 2; after "ab" the pair (ab, ##c) has 2, and equal counts go by text.
  const Texts texts = {"abc", "abc", "ab", "xy", "xy"};
  const auto vocabulary = train_wordpiece_vocabulary(texts, {}, 1, 100);
  const auto& tokens = vocabulary.tokens();
  const Words learned(tokens.begin() + 5 + 10, tokens.end());  // five letters in two forms
  EXPECT_EQ(learned, (Words{"ab", "abc", "xy"}));
}

TEST(TrainWordpiece, CountsEveryOccurrenceOfAPairInAWord) {
  // (##a, ##b) occurs twice in the one word, (x, ##a) once.
  const auto vocabulary = train_wordpiece_vocabulary(Texts{"xabab"}, {}, 2, 100);
  // min_count 2 leaves x out of the alphabet, so the word teaches nothing.
  EXPECT_EQ(vocabulary.size(), 5U + 4U);
  const auto all = train_wordpiece_vocabulary(Texts{"xabab"}, {}, 1, 5 + 6 + 1);
  EXPECT_EQ(all.tokens().back(), "##ab");
}

TEST(TrainWordpiece, StopsAtTheMaximumSize) {
  const Texts texts = {"가나다라마바사", "가나다라마바", "가나다라마", "가나다라"};
  for (const std::size_t size : {10U, 20U, 22U}) {
    EXPECT_LE(train_wordpiece_vocabulary(texts, {}, 1, size).size(), size);
  }
  EXPECT_EQ(train_wordpiece_vocabulary(texts, {}, 1, 22).size(), 22U);
}

TEST(TrainWordpiece, LearnsNoPieceRarerThanTheMinimum) {
  const Texts texts = {"가나", "가나", "가다", "다가", "나다"};
  const auto vocabulary = train_wordpiece_vocabulary(texts, {}, 2, 100);
  EXPECT_GE(vocabulary.find("가나"), 0);
  EXPECT_EQ(vocabulary.find("가다"), -1);
  EXPECT_EQ(vocabulary.find("다가"), -1);
}

TEST(TrainWordpiece, LeavesNoTrainingWordUnknown) {
  const Texts texts = {"나는 학교에 간다.", "너는 집에 온다!", "학교가 집보다 크다 ABC 大學"};
  const WordpieceTokenizer tokenizer(train_wordpiece_vocabulary(texts, {}, 1, 200), {});
  for (const auto text : texts) {
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer.special().unk), 0) << text;
  }
  // Any arrangement of known characters can be written.
  const auto ids = tokenizer.encode("크집온교");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer.special().unk), 0);
}

TEST(TrainWordpiece, MatchesASlowTrainerThatRecountsEveryTime) {
  // The same rule written the obvious way: recount all pairs before every merge.
  const Texts texts = {
      "가나다가나", "나다가나다", "abcabd abd", "가나 다가나다 abab", "bcab 나다나다", "다다다다"};
  Words tokens = train_wordpiece_vocabulary(texts, {}, 1, 5 + 14).tokens();
  ASSERT_EQ(tokens.size(), 19U);  // 가나다abcd twice
  std::vector<Words> words;
  for (const auto text : texts) {
    for (const auto& word : basic_tokenize(text, {})) {
      Words symbols;
      for (const char32_t c : code_points(word)) {
        symbols.push_back((symbols.empty() ? "" : "##") + to_utf8(c));
      }
      words.push_back(symbols);
    }
  }
  while (tokens.size() < 40) {
    std::map<std::pair<std::string, std::string>, int> counts;
    for (const auto& word : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;  // the first of equals, and a map is sorted by text
        });
    if (best == counts.end() || best->second < 1) break;
    const auto [left, right] = best->first;
    const std::string joined = left + right.substr(2);
    if (std::find(tokens.begin(), tokens.end(), joined) == tokens.end()) tokens.push_back(joined);
    for (auto& word : words) {
      Words merged;
      for (std::size_t i = 0; i < word.size(); ++i) {
        if (i + 1 < word.size() && word[i] == left && word[i + 1] == right) {
          merged.push_back(joined);
          ++i;
        } else {
          merged.push_back(word[i]);
        }
      }
      word = merged;
    }
  }
  EXPECT_EQ(train_wordpiece_vocabulary(texts, {}, 1, 40).tokens(), tokens);
}

}  // namespace
}  // namespace detente::text
