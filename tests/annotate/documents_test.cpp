// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/documents.h>
#include <detente/text/unicode.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace detente::annotate {
namespace {

// Every word stands in some passage, passages are whole characters of the text and not too long, and begin in their line.
void check(const std::string& text, std::size_t size, std::size_t overlap) {
  const std::vector<Passage> passages = cut_passages("f", text, size, overlap);
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  std::size_t from = 0;
  std::size_t covered = 0;
  for (const Passage& passage : passages) {
    ASSERT_FALSE(passage.text.empty());
    ASSERT_EQ(text::find_invalid_utf8(passage.text), std::string::npos);
    ASSERT_LE(text::code_points(passage.text).size(), size);
    const std::size_t at = passage.offset;
    ASSERT_EQ(text.substr(at, passage.text.size()), passage.text);
    ASSERT_TRUE(from == 0 || at >= from);
    from = at + 1;
    // Nothing but blanks lies between what is covered and where it goes on.
    ASSERT_TRUE(at <= covered || text.find_first_not_of(" \n", covered) >= at)
        << covered << " " << at;
    covered = std::max(covered, at + passage.text.size());
    const std::string first = passage.text.substr(0, passage.text.find('\n'));
    ASSERT_NE(lines.at(passage.line - 1).find(first), std::string::npos) << passage.line;
  }
  ASSERT_EQ(text.find_first_not_of(" \n", covered), std::string::npos);
}

TEST(CutPassages, CoverTheText) {
  std::mt19937 random(3);
  for (int turn = 0; turn < 200; ++turn) {
    std::string text;
    for (std::size_t i = random() % 400; i > 0; --i) {
      const auto kind = random() % 12;
      text += kind == 0   ? "\n"
              : kind == 1 ? ". "
              : kind == 2 ? "한국"
              : kind < 6  ? " "
                          : std::string(1, static_cast<char>('a' + random() % 26));
    }
    const std::size_t size = 2 + random() % 60;
    check(text, size, random() % (size / 2 + 1));
  }
  check(std::string(5000, 'x'), 100, 20);  // no blank to cut at
  EXPECT_TRUE(cut_passages("f", "").empty());
  EXPECT_TRUE(cut_passages("f", " \n\n ").empty());
}

}  // namespace
}  // namespace detente::annotate
