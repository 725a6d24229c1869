// SPDX-License-Identifier: Apache-2.0
#include <detente/text/printable.h>
#include <gtest/gtest.h>

namespace detente::text {
namespace {

TEST(Printable, LeavesOrdinaryTextAlone) {
  for (const char* text : {"", "score 0.61", "점수: 높다", "naïve ½ 😀", "C:\\data", "a|b"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ShowsControlCharactersInsteadOfSendingThem) {
  EXPECT_EQ(printable("a\x1b[31mred\x07"), "a\\x1b[31mred\\x07");
  EXPECT_EQ(printable("a\r\n\tb\x7f"), "a\\r\\n\\tb\\x7f");
  EXPECT_EQ(printable(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m");          // the one-byte form of ESC [
  EXPECT_EQ(printable("\u202egnp.exe"), "\\u202egnp.exe");  // reads backwards
  EXPECT_EQ(printable("a\u2028b"), "a\\u2028b");
}

TEST(Printable, ShowsBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\xff"), "a\\xff");
  EXPECT_EQ(printable("\xe3\x81"), "\\xe3\\x81");           // cut short
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80");
}

TEST(Printable, MessagesKeepTheirLines) {
  EXPECT_EQ(printable_lines("one\n  two\x1b[2J"), "one\n  two\\x1b[2J");
}

}  // namespace
}  // namespace detente::text
