// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>

#include "tests/support/temp_dir.h"

namespace detente {
namespace {

using test::TempDir;
using testing::HasSubstr;

ErrorCode code_of(const std::function<void()>& action, const std::string& text) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

TEST(File, ReadsBackWhatWasWritten) {
  const TempDir dir;
  std::string bytes("a\0b\r\n\xff", 6);
  bytes += std::string(200000, 'x');
  write_file_atomic(dir.file("f"), bytes);
  EXPECT_EQ(read_file(dir.file("f")), bytes);
  EXPECT_EQ(entries(dir.path()), 1u);  // no temporary file is left
}

TEST(File, ReplacesAnEarlierFile) {
  const TempDir dir;
  write_file_atomic(dir.file("f"), "a long first content");
  write_file_atomic(dir.file("f"), "short");
  EXPECT_EQ(read_file(dir.file("f")), "short");
}

TEST(File, InflatesGzip) {
  const TempDir dir;
  const gzFile file = gzopen(dir.file("f.gz").c_str(), "wb");
  gzputs(file, "hello");
  gzclose(file);
  EXPECT_EQ(read_file(dir.file("f.gz")), "hello");
}

TEST(File, ReportsACutGzipStream) {
  const TempDir dir;
  std::string noise;
  for (unsigned i = 0, x = 1; i < 20000; ++i) {
    x = x * 1664525U + 1013904223U;
    noise += static_cast<char>(x >> 24);
  }
  const gzFile file = gzopen(dir.file("f.gz").c_str(), "wb");
  gzwrite(file, noise.data(), static_cast<unsigned>(noise.size()));
  gzclose(file);
  std::filesystem::resize_file(dir.file("f.gz"), 5000);
  EXPECT_EQ(code_of([&] { read_file(dir.file("f.gz")); }, "f.gz"), ErrorCode::kData);
}

TEST(File, NamesWhatCannotBeRead) {
  const TempDir dir;
  EXPECT_EQ(code_of([&] { read_file(dir.file("none")); }, "No such file"), ErrorCode::kIo);
  EXPECT_EQ(code_of([&] { read_file(dir.path()); }, "is a folder"), ErrorCode::kIo);
}

TEST(File, NamesWhatCannotBeWritten) {
  const TempDir dir;
  EXPECT_EQ(code_of([&] { write_file_atomic(dir.file("no/f"), "x"); }, "No such file"),
            ErrorCode::kIo);
  // A folder stands where the file should go: rename fails after everything was written.
  std::filesystem::create_directory(dir.file("folder"));
  std::filesystem::create_directory(dir.file("folder/inside"));
  EXPECT_EQ(code_of([&] { write_file_atomic(dir.file("folder"), "x"); }, "folder"), ErrorCode::kIo);
  EXPECT_EQ(entries(dir.path()), 1u);  // the temporary file is gone
}

TEST(File, KeepsLinksAndReplacesWhatTheyLeadTo) {
  const TempDir dir;
  std::filesystem::create_symlink("later", dir.file("link"));  // leads nowhere yet
  for (const char* content : {"first", "second"}) {
    write_file_atomic(dir.file("link"), content);
    EXPECT_TRUE(std::filesystem::is_symlink(dir.file("link")));
    EXPECT_EQ(read_file(dir.file("later")), content);
  }
}

TEST(File, WritesToAPipeInsteadOfReplacingIt) {
  const TempDir dir;
  const std::string pipe = dir.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  write_file_atomic(pipe, "abc");
  char got[4] = {};
  EXPECT_EQ(::read(reader, got, 3), 3);
  ::close(reader);
  EXPECT_STREQ(got, "abc");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(File, MakesParentsOfAFolder) {
  const TempDir dir;
  make_directories(dir.file("a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(dir.file("a/b/c")));
  make_directories(dir.file("a/b/c"));
  dir.write("file", "x");
  EXPECT_EQ(code_of([&] { make_directories(dir.file("file")); }, "file"), ErrorCode::kIo);
  EXPECT_EQ(code_of([&] { make_directories(dir.file("file/sub")); }, "sub"), ErrorCode::kIo);
}

TEST(Crc32c, GivesThePublishedCheckValue) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c("6789", crc32c("12345")), crc32c("123456789"));
}

}  // namespace
}  // namespace detente
