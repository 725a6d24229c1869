// SPDX-License-Identifier: Apache-2.0
#include <detente/serve/log_tail.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace detente::serve {
namespace {

using ::testing::ElementsAre;

class LogTailTest : public ::testing::Test {
 protected:
  void append(const std::string& bytes) const {
    std::ofstream(temp_.file("log"), std::ios::binary | std::ios::app) << bytes;
  }
  // Reads until the end; the lines that hold now.
  std::vector<std::string> read() {
    const Folder folder(temp_.path());
    LogTail::Hooks hooks;
    hooks.anew = [this] {
      lines_.clear();
      ++anew_;
    };
    hooks.line = [this](std::string_view line) {
      lines_.emplace_back(line);
      ++told_;
    };
    const auto file = folder.open({"log"});
    if (file) tail_.read(*file, hooks, LogTail::Clock::now() + std::chrono::minutes(1));
    return lines_;
  }

  test::TempDir temp_;
  LogTail tail_;
  std::vector<std::string> lines_;
  int anew_ = 0;
  int told_ = 0;
};

TEST_F(LogTailTest, ReadsEachLineOnceWhenItIsWhole) {
  EXPECT_THAT(read(), ElementsAre());
  append("a\nb");
  EXPECT_THAT(read(), ElementsAre("a"));
  EXPECT_THAT(read(), ElementsAre("a"));
  append("c\n\nd\n");
  EXPECT_THAT(read(), ElementsAre("a", "bc", "", "d"));
  EXPECT_EQ(told_, 4);
  EXPECT_EQ(anew_, 0);
}

TEST_F(LogTailTest, BeginsAnewWhereTheLogWasCut) {
  append("1\n2\n3\n");
  read();
  std::filesystem::resize_file(temp_.file("log"), 2);
  append("x\n");
  EXPECT_THAT(read(), ElementsAre("1", "x"));
  EXPECT_EQ(anew_, 1);
}

TEST_F(LogTailTest, NoticesACutThatHasGrownOver) {
  append("1\n2\n3\n");
  read();
  std::filesystem::resize_file(temp_.file("log"), 2);
  append("x\ny\nz\nw\n");
  EXPECT_THAT(read(), ElementsAre("1", "x", "y", "z", "w"));
}

TEST_F(LogTailTest, BeginsAnewWithAnotherFileOfThatName) {
  append("1\n2\n");
  read();
  temp_.write("other", "1\n2\n3\n");
  std::filesystem::rename(temp_.file("other"), temp_.file("log"));
  EXPECT_THAT(read(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(anew_, 1);
}

TEST_F(LogTailTest, PassesOverALineThatIsTooLong) {
  append("a\n" + std::string(17 << 20, 'x'));
  EXPECT_THAT(read(), ElementsAre("a"));
  append("y\nb\n");
  EXPECT_THAT(read(), ElementsAre("a", "b"));
}

TEST_F(LogTailTest, StopsAtItsDeadlineAndGoesOn) {
  for (int i = 0; i < 200'000; ++i) lines_.emplace_back("0123456789");
  std::string all;
  for (const auto& line : lines_) all += line + "\n";
  lines_.clear();
  append(all);
  const Folder folder(temp_.path());
  int reads = 0;
  std::size_t lines = 0;
  LogTail::Hooks hooks{[] { FAIL(); }, [&](std::string_view) { ++lines; }};
  for (; !tail_.at_end() && reads < 100; ++reads) {
    tail_.read(*folder.open({"log"}), hooks, LogTail::Clock::now());
  }
  EXPECT_GT(reads, 1);
  EXPECT_EQ(lines, 200'000U);
}

TEST_F(LogTailTest, GivesTheFilesLinesHoweverTheyCome) {
  std::mt19937 random(1);
  std::string all;
  for (int round = 0; round < 300; ++round) {
    if (random() % 10 == 0) {
      all.resize(all.size() - std::min<std::size_t>(all.size(), random() % 50));
      std::filesystem::resize_file(temp_.file("log"), all.size());
    }
    std::string more;
    for (std::size_t i = random() % 60; i > 0; --i) more += "ab\n"[random() % 3];
    more += std::to_string(random());
    all += more;
    append(more);
    std::vector<std::string> expected;
    for (std::size_t at = 0, end = 0; (end = all.find('\n', at)) != std::string::npos;
         at = end + 1) {
      expected.push_back(all.substr(at, end - at));
    }
    ASSERT_EQ(read(), expected) << round;
  }
}

}  // namespace
}  // namespace detente::serve
