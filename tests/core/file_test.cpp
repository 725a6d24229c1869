// SPDX-License-Identifier: Apache-2.0
#include <detente/core/content_reader.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "tests/support/code_of.h"
#include "tests/support/temp_dir.h"

namespace detente {
namespace {

using test::code_of;
using test::TempDir;
using testing::HasSubstr;

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

mode_t mode_of(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(::stat(path.c_str(), &found), 0);
  return found.st_mode & 0777;
}

TEST(OwnFile, TakesThePlaceOfALink) {
  const TempDir dir;
  dir.write("others", "theirs");
  ASSERT_EQ(::chmod(dir.file("others").c_str(), 0600), 0);
  for (const char* target : {"others", "nowhere", "link"}) {  // the last one goes round
    std::filesystem::create_symlink(target, dir.file("link"));
    write_own_file(dir.file("link"), "own");
    EXPECT_FALSE(std::filesystem::is_symlink(dir.file("link"))) << target;
    EXPECT_EQ(read_file(dir.file("link")), "own");
    EXPECT_NE(mode_of(dir.file("link")), 0600U);
    std::filesystem::remove(dir.file("link"));
  }
  EXPECT_EQ(read_file(dir.file("others")), "theirs");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(OwnFile, TakesThePlaceOfAPipeAndKeepsModes) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("f").c_str(), 0600), 0);
  write_own_file(dir.file("f"), "first");
  EXPECT_TRUE(std::filesystem::is_regular_file(dir.file("f")));
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0640), 0);
  write_own_file(dir.file("f"), "second");
  EXPECT_EQ(read_file(dir.file("f")), "second");
  EXPECT_EQ(mode_of(dir.file("f")), 0640U);
  std::filesystem::create_directory(dir.file("folder"));
  EXPECT_EQ(code_of([&] { write_own_file(dir.file("folder"), "x"); }, "folder"), ErrorCode::kIo);
  EXPECT_EQ(code_of([&] { write_own_file(dir.file("no/f"), "x"); }, "No such file"),
            ErrorCode::kIo);
  if (::geteuid() == 0) return;  // who may write everywhere
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0400), 0);
  EXPECT_EQ(code_of([&] { write_own_file(dir.file("f"), "x"); }, "Permission denied"),
            ErrorCode::kIo);
  EXPECT_EQ(read_file(dir.file("f")), "second");
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

TEST(File, KeepsTheModeOfAnEarlierFile) {
  const TempDir dir;
  for (const mode_t mode : {mode_t{0600}, mode_t{0644}, mode_t{0660}, mode_t{0755}}) {
    const std::string path = dir.write("f", "earlier");
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    write_file_atomic(path, "new");
    EXPECT_EQ(mode_of(path), mode);
    EXPECT_EQ(read_file(path), "new");
  }
}

TEST(File, KeepsTheModeOfWhatALinkLeadsTo) {
  const TempDir dir;
  ASSERT_EQ(::chmod(dir.write("secret", "earlier").c_str(), 0600), 0);
  std::filesystem::create_symlink("secret", dir.file("link"));
  write_file_atomic(dir.file("link"), "new");
  EXPECT_EQ(mode_of(dir.file("secret")), 0600U);
}

TEST(File, GivesANewFileWhatTheUmaskLeaves) {
  const TempDir dir;
  const mode_t before = ::umask(027);
  write_file_atomic(dir.file("f"), "x");
  ::umask(before);
  EXPECT_EQ(mode_of(dir.file("f")), 0640U);
}

TEST(File, LeavesAProtectedFileAlone) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDir dir;
  const std::string path = dir.write("f", "kept");
  ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
  EXPECT_EQ(code_of([&] { write_file_atomic(path, "x"); }, "Permission denied"), ErrorCode::kIo);
  EXPECT_EQ(read_file(path), "kept");
}

TEST(File, RefusesLinksThatGoRound) {
  const TempDir dir;
  std::filesystem::create_symlink("b", dir.file("a"));
  std::filesystem::create_symlink("a", dir.file("b"));
  EXPECT_EQ(code_of([&] { write_file_atomic(dir.file("a"), "x"); }, "symbolic links"),
            ErrorCode::kIo);
  EXPECT_EQ(entries(dir.path()), 2U);
}

// Who writes to /dev/stdout means what the shell has opened there, at the place where it stands.
TEST(File, WritesToAnOpenDescriptor) {
  const TempDir dir;
  const std::string path = dir.write("log", "before\n");
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND);
  ASSERT_GE(fd, 0);
  for (const char* folder : {"/proc/self/fd/", "/dev/fd/"}) {
    write_file_atomic(folder + std::to_string(fd), "more\n");
  }
  EXPECT_EQ(::write(fd, "after\n", 6), 6);
  ::close(fd);
  EXPECT_EQ(read_file(path), "before\nmore\nmore\nafter\n");
}

TEST(File, SaysThatADeviceIsFull) {
  EXPECT_EQ(code_of([] { write_file_atomic("/dev/full", "x"); }, "No space left"), ErrorCode::kIo);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

// Names made of the process id could be foreseen: a link there led root to overwrite its own file.
TEST(File, PlantedNamesAreNotFollowed) {
  const TempDir dir;
  dir.write("secret", "kept");
  const std::string pid = std::to_string(::getpid());
  for (const std::string& name : {"f.tmp" + pid, ".f.tmp" + pid, std::string("f.tmp")}) {
    std::filesystem::create_symlink("secret", dir.file(name));
  }
  write_file_atomic(dir.file("f"), "x");
  EXPECT_EQ(read_file(dir.file("secret")), "kept");
  EXPECT_EQ(entries(dir.path()), 5U);
}

TEST(File, KnowsItsTemporaryNames) {
  for (const char* name : {".detente-abcdef.tmp", ".detente-A0z9Zq.tmp"}) {
    EXPECT_TRUE(is_temporary_name(name)) << name;
  }
  for (const char* name : {"",
                           "notes.tmp",
                           "my.tmp.folder",
                           ".detente-.tmp",
                           ".detente-abcde.tmp",
                           ".detente-abcdefg.tmp",
                           ".detente-abc/ef.tmp",
                           "x.detente-abcdef.tmp",
                           ".detente-abcdef.tmp~"}) {
    EXPECT_FALSE(is_temporary_name(name)) << name;
  }
}

TEST(File, RemovesTemporaryFilesAndNothingElse) {
  const TempDir dir;
  dir.write(".detente-abcdef.tmp", "left by a killed process");
  dir.write("notes.tmp", "mine");
  std::filesystem::create_directory(dir.file(".detente-folder.tmp"));
  std::filesystem::create_symlink("notes.tmp", dir.file(".detente-linked.tmp"));
  remove_temporary_files(dir.path());
  EXPECT_FALSE(std::filesystem::exists(dir.file(".detente-abcdef.tmp")));
  EXPECT_EQ(entries(dir.path()), 3U);
  remove_temporary_files(dir.file("none"));
}

TEST(File, ATemporaryFolderIsItsOwnersAndGoes) {
  const TempDir dir;
  {
    const TemporaryFolder folder(dir.path());
    EXPECT_TRUE(is_temporary_name(folder.path().filename().string()));
    EXPECT_EQ(mode_of(folder.path().string()), 0700U);
    write_file_atomic(folder.path() / "f", "x");
  }
  EXPECT_EQ(entries(dir.path()), 0U);
  EXPECT_EQ(code_of([&] { TemporaryFolder(dir.file("none")); }, "No such file"), ErrorCode::kIo);
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

std::string gzipped(const std::string& text) {
  const TempDir dir;
  const gzFile file = gzopen(dir.file("x").c_str(), "wb9");
  EXPECT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
            static_cast<int>(text.size()));
  gzclose(file);
  std::ifstream in(dir.file("x"), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(ReadFile, TakesGzipMembersOneAfterTheOther) {
  const TempDir dir;
  write_file_atomic(dir.file("f"), gzipped("one\n") + gzipped("") + gzipped("two\n"));
  EXPECT_EQ(read_file(dir.file("f")), "one\ntwo\n");
  const std::string long_text(3 << 20, 'x');
  write_file_atomic(dir.file("f"), gzipped(long_text));
  EXPECT_EQ(read_file(dir.file("f")), long_text);
}

TEST(ReadFile, RefusesWhatFollowsAGzipStream) {
  const TempDir dir;
  for (const std::string& rest :
       {std::string("x"), std::string("a,b\n1,2\n"), std::string(512, '\0')}) {
    write_file_atomic(dir.file("f"), gzipped("hello") + rest);
    EXPECT_EQ(code_of([&] { read_file(dir.file("f")); }, "after the end of its gzip stream"),
              ErrorCode::kData);
  }
}

TEST(ReadFile, RefusesAGzipStreamCutOrChangedAnywhere) {
  const TempDir dir;
  const std::string whole = gzipped("hello, hello, hello, world");
  for (std::size_t size = 2; size < whole.size(); ++size) {
    write_file_atomic(dir.file("f"), whole.substr(0, size));
    EXPECT_EQ(code_of([&] { read_file(dir.file("f")); }, "f'"), ErrorCode::kData) << size;
  }
  std::string changed = whole;
  changed[whole.size() - 6] ^= 1;  // the checksum
  write_file_atomic(dir.file("f"), changed);
  EXPECT_EQ(code_of([&] { read_file(dir.file("f")); }, "damaged"), ErrorCode::kData);
}

TEST(ReadFile, GivesTheSystemsReason) {
  const TempDir dir;
  std::filesystem::create_symlink("loop", dir.file("loop"));
  EXPECT_EQ(code_of([&] { read_file(dir.file("loop")); }, "symbolic links"), ErrorCode::kIo);
  EXPECT_EQ(code_of([&] { read_file(dir.file(std::string(300, 'x'))); }, "too long"),
            ErrorCode::kIo);
}

TEST(ReadFile, EndsWhereAShortFileMustHaveEnded) {
  const TempDir dir;
  write_file_atomic(dir.file("f"), std::string(100, 'x'));
  EXPECT_EQ(read_short_file(dir.file("f"), 100).size(), 100U);
  EXPECT_EQ(code_of([&] { read_short_file(dir.file("f"), 99); }, "more than 99 bytes"),
            ErrorCode::kData);
  EXPECT_EQ(code_of([&] { read_short_file("/dev/zero", 1 << 20); }, "more than"), ErrorCode::kData);
}

TEST(PlainFiles, ArePipesAndDevicesNowhere) {
  const TempDir dir;
  std::filesystem::create_directories(dir.file("a/b"));
  write_file_atomic(dir.file("a/b/file"), "x");
  std::filesystem::create_symlink("file", dir.file("a/b/link"));
  std::filesystem::create_symlink("nothing", dir.file("a/dangling"));
  std::filesystem::create_symlink("..", dir.file("a/up"));
  demand_plain_files(dir.path());
  demand_plain_files(dir.file("not there"));
  ASSERT_EQ(::mkfifo(dir.file("a/b/pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { demand_plain_files(dir.path()); }, "b/pipe' is a pipe"),
            ErrorCode::kData);
  std::filesystem::remove(dir.file("a/b/pipe"));
  std::filesystem::create_symlink("/dev/zero", dir.file("zero"));
  EXPECT_EQ(code_of([&] { demand_plain_files(dir.path()); }, "zero' is a device"),
            ErrorCode::kData);
}

TEST(ReadFile, GoesOnAfterASignal) {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART, so that calls are interrupted
  struct sigaction before {};
  sigaction(SIGALRM, &action, &before);
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  const pid_t writer = ::fork();
  if (writer == 0) {
    ::usleep(100000);
    const int out = ::open(dir.file("pipe").c_str(), O_WRONLY);
    ::usleep(100000);
    const ssize_t written = ::write(out, "late", 4);
    ::_exit(written == 4 ? 0 : 1);
  }
  itimerval often{};
  often.it_interval.tv_usec = often.it_value.tv_usec = 5000;
  setitimer(ITIMER_REAL, &often, nullptr);
  EXPECT_EQ(read_file(dir.file("pipe")), "late");
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  int status = 0;
  ::waitpid(writer, &status, 0);
  EXPECT_EQ(status, 0);
}

// Both take terabytes of addresses for themselves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ReadFile, CallsAnArchiveThatUnpacksWithoutEndADataError) {
  const TempDir dir;
  std::string bomb;
  const std::string member = gzipped(std::string(16 << 20, '\0'));
  for (int i = 0; i < 64; ++i) bomb += member;
  write_file_atomic(dir.file("bomb"), bomb);
  const auto starve = [&] {
    const rlimit limit{512 << 20, 512 << 20};
    setrlimit(RLIMIT_AS, &limit);
    try {
      read_file(dir.file("bomb"));
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
      ::_exit(exit_code(error.code()));
    }
    ::_exit(0);
  };
  EXPECT_EXIT(starve(), ::testing::ExitedWithCode(3), "unpacks to more");
}
#endif

}  // namespace
}  // namespace detente
