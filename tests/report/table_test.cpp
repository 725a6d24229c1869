// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/report/table.h>
#include <gtest/gtest.h>

namespace detente::report {
namespace {

Table scores() {
  Table table({{"task"}, {"pearson", Align::kRight}, {"c", Align::kCenter}});
  table.add_row({"점수", "0.61", "x"});
  table.add_row({"same", "-0.2", "yes"});
  return table;
}

TEST(DisplayWidth, CountsTerminalCells) {
  EXPECT_EQ(display_width(""), 0U);
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("한국어"), 6U);
  EXPECT_EQ(display_width("e\xCC\x81"), 1U);  // e and a combining acute accent
  EXPECT_EQ(display_width("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), 2U);  // one syllable as jamo
  EXPECT_EQ(display_width("a\xFF"
                          "b"),
            3U);
}

TEST(Table, AlignsColumnsWithWideCharacters) {
  EXPECT_EQ(scores().text(),
            "task  pearson   c\n"
            "────  ───────  ───\n"
            "점수     0.61   x\n"
            "same     -0.2  yes\n");
}

TEST(Table, ShowsControlCharactersOfOthersWords) {
  Table table({{"task\x1b[2J"}, {"n", Align::kRight}});
  table.add_row({"a\nb", "\u009b1m"});
  EXPECT_EQ(table.text(),
            "task\\x1b[2J         n\n"
            "───────────  ────────\n"
            "a\\nb         \\u009b1m\n");
  EXPECT_EQ(table.json()[0]["n"], "\u009b1m");  // programs get it as it is
}

TEST(Table, DrawsRulesOnlyBetweenRows) {
  Table table({{"a"}});
  table.add_rule();
  table.add_row({"1"});
  table.add_rule();
  table.add_row({"2"});
  EXPECT_EQ(table.text(), "a\n─\n1\n─\n2\n");
}

TEST(Table, EscapesMarkdownPipesAndLineBreaks) {
  Table table({{"a|b"}, {"n", Align::kRight}, {"m", Align::kCenter}});
  table.add_row({"x\ny", "1", "|"});
  EXPECT_EQ(table.markdown(), "| a\\|b | n | m |\n| --- | ---: | :---: |\n| x<br>y | 1 | \\| |\n");
}

TEST(Table, QuotesCsvOnlyWhereNeeded) {
  Table table({{"a"}, {"b,c"}});
  table.add_row({"say \"no\"", "two\nlines"});
  table.add_row({"plain", ""});
  EXPECT_EQ(table.csv(), "a,\"b,c\"\n\"say \"\"no\"\"\",\"two\nlines\"\nplain,\n");
}

TEST(Table, GivesJsonRowsInColumnOrder) {
  EXPECT_EQ(
      scores().json().dump(),
      R"([{"task":"점수","pearson":"0.61","c":"x"},{"task":"same","pearson":"-0.2","c":"yes"}])");
}

TEST(Table, RefusesRowOfAnotherSize) {
  Table table({{"a"}, {"b"}});
  try {
    table.add_row({"1"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
    EXPECT_STREQ(error.what(), "[report::table] a row of this table has 2 cells; got 1.");
  }
}

}  // namespace
}  // namespace detente::report
