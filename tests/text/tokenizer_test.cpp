// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/text/tokenizer.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace detente::text {
namespace {

using testing::HasSubstr;
using Kind = TokenizerOptions::Kind;

const std::vector<std::string_view> kManyTexts = {
    "나는 학교에 간다.", "너는 Café에 간다!", "나는 집에 있다."};

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(testing::TempDir()) /
        (std::string("tokenizer_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    make_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string load_message() {
    try {
      load_tokenizer(folder_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path folder_;
};

std::vector<TokenizerOptions> variants() {
  std::vector<TokenizerOptions> list;
  for (const Kind kind : {Kind::kSyllable, Kind::kWordpiece}) {
    for (const bool flag : {false, true}) {
      TokenizerOptions options;
      options.kind = kind;
      options.min_count = 1;
      options.lower_case = flag;
      options.strip_accents = flag;
      options.keep_spaces = !flag;
      list.push_back(options);
    }
  }
  return list;
}

TEST_F(TokenizerFolder, HoldsAllThatDecidesTheIds) {
  for (const auto& options : variants()) {
    const auto tokenizer = make_tokenizer(options, kManyTexts);
    tokenizer->save(folder_);
    const auto loaded = load_tokenizer(folder_);
    EXPECT_STREQ(loaded->kind(), tokenizer->kind());
    EXPECT_EQ(loaded->fingerprint(), tokenizer->fingerprint());
    for (const auto text : {"나는 CAFÉ에 있다", "모르는 글자", ""}) {
      EXPECT_EQ(loaded->encode(text), tokenizer->encode(text));
    }
  }
}

TEST(Tokenizer, FingerprintTellsVariantsApart) {
  std::vector<std::uint64_t> prints;
  for (const auto& options : variants())
    prints.push_back(make_tokenizer(options, kManyTexts)->fingerprint());
  std::sort(prints.begin(), prints.end());
  EXPECT_EQ(std::adjacent_find(prints.begin(), prints.end()), prints.end());
  TokenizerOptions options;
  options.min_count = 1;
  auto longer = kManyTexts;
  longer.push_back("새");
  EXPECT_NE(make_tokenizer(options, kManyTexts)->fingerprint(),
            make_tokenizer(options, longer)->fingerprint());
}

TEST_F(TokenizerFolder, KeepsAVocabularyFileAsItIs) {
  const std::string text = "[CLS]\n[PAD]\n[SEP]\n[UNK]\n[MASK]\n나\n##는\n";
  write_file_atomic(folder_ / "mine.txt", text);
  TokenizerOptions options;
  options.kind = Kind::kWordpiece;
  options.vocab = folder_ / "mine.txt";
  const auto tokenizer = make_tokenizer(options, {});
  EXPECT_EQ(tokenizer->vocabulary().to_text(), text);
  EXPECT_EQ(tokenizer->encode("나는 간다"), (std::vector<std::int32_t>{5, 6, 3}));
}

TEST_F(TokenizerFolder, SaysWhatIsWrongWithItsFiles) {
  write_file_atomic(folder_ / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
  const auto config = [&](const std::string& text) {
    write_file_atomic(folder_ / "tokenizer_config.json", text);
    return load_message();
  };
  EXPECT_THAT(config("{not json"), HasSubstr("does not name a tokenizer"));
  EXPECT_THAT(config("[]"), HasSubstr("does not name a tokenizer"));
  EXPECT_THAT(config(R"({"kind": 3})"), HasSubstr("does not name a tokenizer"));
  EXPECT_THAT(config(R"({"kind": "sentencepiece"})"), HasSubstr("'sentencepiece'"));
  EXPECT_THAT(config(R"({"kind": "syllable", "do_lower_case": "no"})"),
              HasSubstr("'do_lower_case'"));
  EXPECT_THAT(config(R"({"kind": "wordpiece", "do_lower_case": true})"),
              HasSubstr("'strip_accents'"));
}

TEST_F(TokenizerFolder, MissingFilesAreIoErrors) {
  try {
    load_tokenizer(folder_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
  }
}

TEST(MakeTokenizer, RefusesTextsWithoutAnySymbol) {
  for (const Kind kind : {Kind::kSyllable, Kind::kWordpiece}) {
    TokenizerOptions options;
    options.kind = kind;
    for (const auto& texts :
         {std::vector<std::string_view>{}, {" ", ""}, {"가나다"}}) {  // each once
      try {
        make_tokenizer(options, texts);
        FAIL() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData);
        EXPECT_THAT(error.what(), HasSubstr("min_count"));
      }
    }
  }
}

TEST(MakeTokenizer, RefusesOptionsThatCannotBe) {
  TokenizerOptions options;
  options.min_count = 0;
  EXPECT_THROW(make_tokenizer(options, kManyTexts), Error);
  options = {};
  options.vocab = "vocab.txt";  // with kind syllable
  try {
    make_tokenizer(options, kManyTexts);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("syllable"));
  }
}

TEST(TokenizerOptions, DescribeEveryField) {
  TokenizerOptions options;
  const Describe describe = [&](FieldVisitor& v) { options.describe(v); };
  set_field(describe, "kind", "wordpiece", "test");
  set_field(describe, "max_size", "123", "test");
  set_field(describe, "keep_spaces", "false", "test");
  EXPECT_EQ(options.kind, Kind::kWordpiece);
  EXPECT_EQ(options.max_size, 123);
  EXPECT_FALSE(options.keep_spaces);
  EXPECT_EQ(list_fields(describe).size(), 8U);
}

}  // namespace
}  // namespace detente::text
