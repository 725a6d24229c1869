// SPDX-License-Identifier: Apache-2.0
#include <detente/text/unicode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace detente::text {
namespace {

constexpr auto kNone = std::string_view::npos;

// ASCII is skipped eight bytes at a time: what is wrong is found wherever it stands.
TEST(Utf8, FindsTheFirstBadByteAtEveryPlace) {
  for (std::size_t size = 1; size < 40; ++size) {
    EXPECT_EQ(find_invalid_utf8(std::string(size, 'a')), std::string_view::npos);
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\xff';
      EXPECT_EQ(find_invalid_utf8(text), at);
      if (at + 1 == size) continue;
      text.replace(at, 2, "é");
      EXPECT_EQ(find_invalid_utf8(text), std::string_view::npos);
      text.pop_back();
      if (at + 2 == size) {
        EXPECT_EQ(find_invalid_utf8(text), at);
      }
    }
  }
}

TEST(FindInvalidUtf8, AcceptsTheEdgesOfEveryLength) {
  for (const char32_t code :
       {0x1U, 0x7fU, 0x80U, 0x7ffU, 0x800U, 0xd7ffU, 0xe000U, 0xffffU, 0x10000U, 0x10ffffU}) {
    EXPECT_EQ(find_invalid_utf8(to_utf8(code)), kNone) << static_cast<unsigned>(code);
  }
  EXPECT_EQ(find_invalid_utf8(""), kNone);
  EXPECT_EQ(find_invalid_utf8("가나다 abc é 😀"), kNone);
}

TEST(Utf8, IsCutBetweenLetters) {
  const std::string text = "a가é😀b";
  for (std::size_t bytes = 0; bytes <= text.size() + 2; ++bytes) {
    const std::string_view cut = whole_letters(text, bytes);
    EXPECT_LE(cut.size(), bytes);
    EXPECT_TRUE(text.starts_with(cut));
    EXPECT_EQ(find_invalid_utf8(cut), std::string_view::npos) << bytes;
    EXPECT_GE(cut.size() + 3, std::min(bytes, text.size()));  // no more than a letter is lost
  }
  EXPECT_EQ(whole_letters(text, text.size()), text);
}

TEST(FindInvalidUtf8, NamesTheFirstBadByte) {
  struct Case {
    const char* what;
    std::string text;
    std::size_t offset;
  };
  const Case cases[] = {
      {"lone continuation", "ab\x80", 2},
      {"overlong slash", "\xc0\xaf", 0},
      {"overlong of two", "a\xe0\x80\xaf", 1},
      {"overlong of three", "\xf0\x80\x80\xaf", 0},
      {"surrogate", "\xed\xa0\x80", 0},
      {"above U+10FFFF", "\xf4\x90\x80\x80", 0},
      {"five-byte lead", "\xf8\x88\x80\x80\x80", 0},
      {"cut in two", "x\xc3", 1},
      {"cut in three", "가\xea\xb0", 3},
      {"cut in four", "\xf0\x9f\x98", 0},
      {"letter for a continuation", "\xea\xb0z", 0},
      {"CP949 '가'", "ok \xb0\xa1", 3},
  };
  for (const auto& c : cases) EXPECT_EQ(find_invalid_utf8(c.text), c.offset) << c.what;
}

TEST(NormalizeNfc, ComposesJamoIntoSyllables) {
  EXPECT_EQ(normalize_nfc("\u1112\u1161\u11ab\u1100\u116e\u11a8"), "한국");
  EXPECT_EQ(normalize_nfc("가\u11a8"), "각");
  EXPECT_EQ(normalize_nfd("각"), "\u1100\u1161\u11a8");
}

TEST(NormalizeNfc, ComposesAccentsAndMapsSingletons) {
  EXPECT_EQ(normalize_nfc("e\u0301"), "é");
  EXPECT_EQ(normalize_nfc("\u212b"), "Å");
  EXPECT_EQ(normalize_nfc("a\u0323\u0302"), normalize_nfc("a\u0302\u0323"));
}

TEST(NormalizeNfc, LeavesComposedTextAlone) {
  // ㄱ (compatibility jamo), full-width letters and ligatures are for NFKC, not for us.
  for (const char* text : {"", "안녕하세요 world", "ㄱㅏ ＡＢ ﬁ ½", "大韓民國 é"}) {
    EXPECT_EQ(normalize_nfc(text), text);
  }
}

TEST(CodePoints, RoundTripThroughUtf8) {
  const std::string text = "A é 가 😀 \U0010ffff";
  std::string back;
  for (const char32_t code : code_points(text)) append_utf8(back, code);
  EXPECT_EQ(back, text);
  EXPECT_EQ(code_points("가😀"), (std::vector<char32_t>{0xac00, 0x1f600}));
}

TEST(CharacterClasses, FollowBert) {
  for (const char32_t c : {U' ', U'\t', U'\n', U'\r', U'\u00a0', U'\u3000', U'\u2028'}) {
    EXPECT_TRUE(is_whitespace(c)) << static_cast<unsigned>(c);
    EXPECT_FALSE(is_control(c)) << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U'\0', U'\x7f', U'\u200b', U'\u00ad', U'\ufeff', U'\ue000', U'\u0085'}) {
    EXPECT_TRUE(is_control(c)) << static_cast<unsigned>(c);
    EXPECT_FALSE(is_whitespace(c)) << static_cast<unsigned>(c);
  }
  // ASCII signs count as punctuation even where Unicode calls them symbols.
  for (const char32_t c :
       {U'!', U'$', U'+', U'<', U'^', U'`', U'|', U'~', U'·', U'…', U'“', U'。'}) {
    EXPECT_TRUE(is_punctuation(c)) << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U'a', U'0', U'가', U'₩', U'℃', U'½', U' '}) {
    EXPECT_FALSE(is_punctuation(c)) << static_cast<unsigned>(c);
  }
}

TEST(CharacterClasses, KeepHangulAndKanaApartFromIdeographs) {
  for (const char32_t c : {U'大', U'\u3400', U'\U00020000', U'\uf900'})
    EXPECT_TRUE(is_cjk_ideograph(c));
  for (const char32_t c : {U'가', U'힣', U'ㄱ', U'の', U'カ', U'A'})
    EXPECT_FALSE(is_cjk_ideograph(c));
}

TEST(CharacterClasses, KnowDigitsOfAllScripts) {
  EXPECT_TRUE(is_digit(U'7') && is_digit(U'７') && is_digit(U'٣'));
  EXPECT_FALSE(is_digit(U'a') || is_digit(U'칠') || is_digit(U'½'));
}

TEST(LowerCase, FoldsLettersOfAllScripts) {
  EXPECT_EQ(lower_case("ABC ÀÉ ΑΒ ЁЖ 한국ABC"), "abc àé αβ ёж 한국abc");
}

TEST(StripAccents, LeavesHangulWhole) {
  EXPECT_EQ(strip_accents("é ñ Å 한국어 각 ö"), "e n A 한국어 각 o");
}

}  // namespace
}  // namespace detente::text
