// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/text/vocabulary.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace detente::text {
namespace {

using testing::HasSubstr;

class VocabularyFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& content) {
    const std::filesystem::path path =
        std::filesystem::path(testing::TempDir()) /
        ("vocabulary_" +
         std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    write_file_atomic(path, content);
    return path;
  }
  std::string message(const std::string& content) {
    try {
      Vocabulary::read(write(content));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      return error.what();
    }
    return "no error";
  }
};

TEST(Vocabulary, StartsWithTheSpecialTokensInOrder) {
  const Vocabulary vocabulary;
  EXPECT_EQ(vocabulary.size(), 5U);
  EXPECT_EQ(vocabulary.special().pad, 0);
  EXPECT_EQ(vocabulary.special().unk, 1);
  EXPECT_EQ(vocabulary.special().cls, 2);
  EXPECT_EQ(vocabulary.special().sep, 3);
  EXPECT_EQ(vocabulary.special().mask, 4);
}

TEST(Vocabulary, FindsTokensByTextAndById) {
  const Vocabulary vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "가", "##나"}, "test");
  EXPECT_EQ(vocabulary.find("##나"), 6);
  EXPECT_EQ(vocabulary.token(5), "가");
  EXPECT_EQ(vocabulary.find("나"), -1);
}

TEST_F(VocabularyFile, ReadsSpecialTokensWhereverTheyAre) {
  const auto vocabulary = Vocabulary::read(write("[CLS]\n[PAD]\n[SEP]\n[UNK]\n[MASK]\na\n"));
  EXPECT_EQ(vocabulary.special().cls, 0);
  EXPECT_EQ(vocabulary.special().pad, 1);
  EXPECT_EQ(vocabulary.special().unk, 3);
}

TEST_F(VocabularyFile, RoundTripsThroughItsText) {
  const std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n가\n##나\n▁\n";
  EXPECT_EQ(Vocabulary::read(write(text)).to_text(), text);
}

TEST_F(VocabularyFile, TakesCarriageReturnsAndAMissingLastLineEnd) {
  const auto vocabulary =
      Vocabulary::read(write("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nz"));
  EXPECT_EQ(vocabulary.find("z"), 5);
  EXPECT_EQ(vocabulary.find("[PAD]"), 0);
}

TEST_F(VocabularyFile, SaysWhatIsWrong) {
  const std::string head = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  EXPECT_THAT(message(head + "a\nb\na\n"), HasSubstr("repeats the token 'a' of line 6"));
  EXPECT_THAT(message(head + "a\n\nb\n"), HasSubstr("line 7"));
  EXPECT_THAT(message("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n"), HasSubstr("no token [MASK]"));
  EXPECT_THAT(message(""), HasSubstr("no token [PAD]"));
  EXPECT_THAT(message(head + "\xff\n"), HasSubstr("not valid UTF-8 at byte 32"));
}

TEST_F(VocabularyFile, MissingFileIsAnIoError) {
  try {
    Vocabulary::read("/nonexistent/vocab.txt");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_THAT(error.what(), HasSubstr("/nonexistent/vocab.txt"));
  }
}

TEST_F(VocabularyFile, TakesAByteOrderMarkAndBlankLinesAtTheEnd) {
  const auto vocabulary = Vocabulary::read(
      write("\xef\xbb\xbf[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nz\r\n\r\n\n"));
  EXPECT_EQ(vocabulary.find("[PAD]"), 0);
  EXPECT_EQ(vocabulary.size(), 6U);
}

}  // namespace
}  // namespace detente::text
