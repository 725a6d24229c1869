// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/encoding_cache.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {
namespace {

using Texts = std::vector<std::string_view>;

std::unique_ptr<text::Tokenizer> tokenizer(std::int64_t max_size = 100) {
  text::TokenizerOptions options;
  options.min_count = 1;
  options.max_size = max_size;
  return text::make_tokenizer(options, Texts{"가나다라"});
}

class EncodingCache : public testing::Test {
 protected:
  std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("encoding_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  void TearDown() override { std::filesystem::remove(path_); }
  // Without waiting for the disk.
  void write_quickly(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
};

TEST_F(EncodingCache, RoundTrips) {
  const EncodedTexts encoded{{{1, 2, 3}, {}, {2147483647}}, 7};
  write_encoding(path_, 42, encoded);
  const auto back = read_encoding(path_, 42);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->ids, encoded.ids);
  EXPECT_EQ(back->truncated, 7U);
}

TEST_F(EncodingCache, IsNotUsedForAnotherKey) {
  write_encoding(path_, 42, {{{1}}, 0});
  EXPECT_FALSE(read_encoding(path_, 43).has_value());
}

TEST_F(EncodingCache, IsNotUsedWhenAnyByteDiffersOrIsMissing) {
  write_encoding(path_, 42, {{{1, 2}, {3}}, 0});
  const std::string good = read_file(path_);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    write_quickly(bad);
    EXPECT_FALSE(read_encoding(path_, 42).has_value()) << "byte " << i;
  }
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{12}, good.size() - 1}) {
    write_quickly(good.substr(0, size));
    EXPECT_FALSE(read_encoding(path_, 42).has_value()) << size << " bytes";
  }
  write_quickly(good + "x");
  EXPECT_FALSE(read_encoding(path_, 42).has_value());
  EXPECT_FALSE(read_encoding("/nonexistent/file.ids", 42).has_value());
}

TEST(EncodingKey, CoversTextsTokenizerAndLength) {
  const auto tok = tokenizer();
  const auto key = encoding_key(Texts{"가", "나"}, *tok, 10);
  EXPECT_EQ(key, encoding_key(Texts{"가", "나"}, *tok, 10));
  EXPECT_NE(key, encoding_key(Texts{"나", "가"}, *tok, 10));
  EXPECT_NE(key, encoding_key(Texts{"가나", ""}, *tok, 10));  // the same bytes, cut elsewhere
  EXPECT_NE(key, encoding_key(Texts{"가", "나"}, *tok, 11));
  EXPECT_NE(key, encoding_key(Texts{"가", "나"}, *tokenizer(6), 10));
}

TEST(EncodeTexts, CutsAndFillsAsPromised) {
  const auto tok = tokenizer();
  const EncodedTexts encoded = encode_texts(Texts{"가나다라", "", "가"}, *tok, 2);
  EXPECT_EQ(encoded.ids[0].size(), 2U);
  EXPECT_EQ(encoded.ids[1], std::vector<std::int32_t>{tok->special().unk});
  EXPECT_EQ(encoded.ids[2].size(), 1U);
  EXPECT_EQ(encoded.truncated, 1U);
  EXPECT_THROW(encode_texts(Texts{"가"}, *tok, 0), Error);
}

}  // namespace
}  // namespace detente::data
