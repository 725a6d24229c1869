// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/tensor/safetensors.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace detente::tensor {
namespace {

class Safetensors : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("detente_safetensors_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return folder_ / "a.safetensors"; }

  // A file of this header and so many bytes of data.
  void write_raw(const std::string& header, std::size_t data) const {
    std::string bytes(8, '\0');
    const std::uint64_t size = header.size();
    std::memcpy(bytes.data(), &size, 8);
    write_file_atomic(file(), bytes + header + std::string(data, '\0'));
  }

  ErrorCode error_of_reading() const {
    try {
      read_safetensors(file());
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  testing::StartsWith("[core::read_safetensors] '" + file().string() + "'"));
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

  std::filesystem::path folder_;
};

std::string safetensors_bytes(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// Written by safetensors 0.8.0 for Python: save({...}, metadata={"kind": "test"}).
const char* const kReferenceHeader =
    R"({"__metadata__":{"kind":"test"},"b":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
    R"("d":{"dtype":"F64","shape":[],"data_offsets":[16,24]},)"
    R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[24,40]},)"
    R"("f":{"dtype":"BF16","shape":[2],"data_offsets":[40,44]},)"
    R"("h":{"dtype":"F16","shape":[2],"data_offsets":[44,48]}}    )";
const char* const kReferenceData =
    "0100000000000000feffffffffffffff9a9999999999b93f0000803f0000004000004040000090c0c03f4040003800"
    "c0";

TEST_F(Safetensors, ReadsAFileOfTheReferenceImplementation) {
  write_file_atomic(
      file(),
      safetensors_bytes("3801000000000000") + kReferenceHeader + safetensors_bytes(kReferenceData));
  Metadata metadata;
  const NamedTensors tensors = read_safetensors(file(), &metadata);
  EXPECT_EQ(metadata, (Metadata{{"kind", "test"}}));
  ASSERT_EQ(tensors.size(), 5U);
  EXPECT_EQ(tensors[0].first, "b");
  EXPECT_TRUE(torch::equal(tensors[0].second, torch::tensor({1, -2}, torch::kLong)));
  EXPECT_EQ(tensors[1].second.dim(), 0);
  EXPECT_EQ(tensors[1].second.item<double>(), 0.1);
  EXPECT_TRUE(torch::equal(tensors[2].second, torch::tensor({{1.0F, 2.0F}, {3.0F, -4.5F}})));
  EXPECT_EQ(tensors[3].second.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(torch::equal(tensors[3].second.to(torch::kFloat), torch::tensor({1.5F, 3.0F})));
  EXPECT_EQ(tensors[4].second.scalar_type(), torch::kHalf);
  EXPECT_TRUE(torch::equal(tensors[4].second.to(torch::kFloat), torch::tensor({0.5F, -2.0F})));
}

TEST_F(Safetensors, WritesTheBytesTheFormatAsksFor) {
  write_safetensors(file(), {{"x", torch::tensor({1.0F, -2.0F})}}, {{"k", "v"}});
  const std::string numbers = safetensors_bytes("0000803f000000c0");
  // Of the header without it, and the numbers.
  const std::string checksum = crc32c_text(
      crc32c(R"({"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" +
             numbers));
  const std::string header = R"({"__metadata__":{"k":"v","crc32c":")" + checksum +
                             R"("},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected(8, '\0');
  expected[0] = static_cast<char>(padded.size());
  EXPECT_EQ(read_file(file()), expected + padded + numbers);
}

TEST_F(Safetensors, EveryChangedBitIsNoticedUnlessItIsAccepted) {
  write_safetensors(file(), {{"x", torch::arange(6.0F)}, {"y", torch::ones({2})}}, {{"k", "v"}});
  const std::string whole = read_file(file());
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    std::ofstream(file(), std::ios::binary) << flipped;
    try {
      read_safetensors(file());
      // Blanks that fill the header, and the name of the checksum, carry nothing.
      const auto at = bit / 8;
      const auto name = whole.find("crc32c");
      const auto blanks = whole.find("}}") + 2;
      const auto numbers = whole.size() - 32;
      EXPECT_TRUE((at >= name && at < name + 6) || (at >= blanks && at < numbers)) << bit;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kData || error.code() == ErrorCode::kUnsupported)
          << error.what();
    }
  }
  std::string flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  write_file_atomic(file(), flipped);
  EXPECT_EQ(read_safetensors(file(), nullptr, false).size(), 2U);
}

TEST_F(Safetensors, RoundTripIsExactForEveryShapeAndType) {
  const NamedTensors written = {
      {"matrix", torch::randn({3, 5}, torch::kDouble)},
      {"scalar", torch::tensor(2.5F)},
      {"empty", torch::zeros({0, 3})},
      {"ids", torch::arange(7)},
      {"transposed", torch::arange(6.0).reshape({2, 3}).t()},
      {"odd \"name\" 한글", torch::ones({1}).requires_grad_()},
  };
  write_safetensors(file(), written);
  const NamedTensors read = read_safetensors(file());
  ASSERT_EQ(read.size(), written.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].first, written[i].first);
    EXPECT_EQ(read[i].second.scalar_type(), written[i].second.scalar_type());
    EXPECT_TRUE(torch::equal(read[i].second, written[i].second)) << read[i].first;
    EXPECT_FALSE(read[i].second.requires_grad());
  }
}

TEST_F(Safetensors, RefusesToWriteWhatItCouldNotReadBack) {
  const auto x = torch::ones({2});
  EXPECT_THROW(write_safetensors(file(), {{"x", x}, {"x", x}}), Error);
  EXPECT_THROW(write_safetensors(file(), {{"__metadata__", x}}), Error);
  EXPECT_THROW(write_safetensors(file(), {{"x", torch::ones({2}, torch::kBool)}}), Error);
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(Safetensors, RefusesEveryTruncation) {
  write_safetensors(file(), {{"x", torch::ones({3})}, {"y", torch::ones({2})}});
  const std::string whole = read_file(file());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    write_file_atomic(file(), whole.substr(0, n));
    EXPECT_EQ(error_of_reading(), ErrorCode::kData) << n;
  }
  write_file_atomic(file(), whole + "x");
  EXPECT_EQ(error_of_reading(), ErrorCode::kData);
}

TEST_F(Safetensors, RefusesForeignFiles) {
  for (const std::string& content : {std::string("hello, this is no tensor file at all"),
                                     std::string(64, '\xff'),
                                     std::string("PK\x03\x04 a zip archive as torch.save makes it"),
                                     std::string(64, '\0')}) {
    write_file_atomic(file(), content);
    EXPECT_EQ(error_of_reading(), ErrorCode::kData) << content;
  }
  std::filesystem::remove(file());
  EXPECT_THROW(read_safetensors(file()), Error);
}

TEST_F(Safetensors, RefusesHeadersThatDoNotFitTheData) {
  const auto x = [](const char* dtype, const char* shape, const char* range) {
    return fmt::format(R"("dtype":"{}","shape":{},"data_offsets":{})", dtype, shape, range);
  };
  const std::vector<std::pair<const char*, std::string>> bad = {
      {"range disagrees with shape", "{\"a\":{" + x("F32", "[3]", "[0,8]") + "}}"},
      {"overlap",
       "{\"a\":{" + x("F32", "[2]", "[0,8]") + "},\"b\":{" + x("F32", "[1]", "[4,8]") + "}}"},
      {"hole", "{\"a\":{" + x("F32", "[1]", "[4,8]") + "}}"},
      {"data left over", "{\"a\":{" + x("F32", "[1]", "[0,4]") + "}}"},
      {"beyond the end", "{\"a\":{" + x("F32", "[4]", "[0,16]") + "}}"},
      {"negative size", "{\"a\":{" + x("F32", "[-2]", "[0,8]") + "}}"},
      {"fraction", "{\"a\":{" + x("F32", "[2.0]", "[0,8]") + "}}"},
      {"reversed range", "{\"a\":{" + x("F32", "[2]", "[8,0]") + "}}"},
      {"product overflows", "{\"a\":{" + x("F32", "[4294967296,4294967296,2]", "[0,8]") + "}}"},
      {"size overflows", "{\"a\":{" + x("F32", "[18446744073709551615]", "[0,8]") + "}}"},
      {"unknown key", "{\"a\":{" + x("F32", "[2]", "[0,8]") + ",\"code\":\"import os\"}}"},
      {"name twice",
       "{\"a\":{" + x("F32", "[2]", "[0,8]") + "},\"a\":{" + x("F32", "[2]", "[0,8]") + "}}"},
      {"metadata not text", R"({"__metadata__":{"a":1},"a":{)" + x("F32", "[2]", "[0,8]") + "}}"},
      {"a list", "[1,2]"},
      {"no object", R"({"a":3})"},
      {"broken JSON", R"({"a":{)"},
  };
  for (const auto& [what, header] : bad) {
    write_raw(header, 8);
    EXPECT_EQ(error_of_reading(), ErrorCode::kData) << what;
  }
  write_raw("{\"a\":{" + x("F32", "[2]", "[0,8]") + "}}", 8);
  EXPECT_NO_THROW(read_safetensors(file()));
}

TEST_F(Safetensors, NamesADTypeItCannotRead) {
  write_raw(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 8);
  EXPECT_EQ(error_of_reading(), ErrorCode::kUnsupported);
}

TEST_F(Safetensors, LeavesTheOldFileWhenItCannotWrite) {
  EXPECT_THROW(write_safetensors(folder_ / "no_such_folder" / "a", {{"x", torch::ones({1})}}),
               Error);
}

}  // namespace
}  // namespace detente::tensor
