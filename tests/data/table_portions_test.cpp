// SPDX-License-Identifier: Apache-2.0
// However a table is portioned, it is the table that is read whole.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/data/table_portions.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

namespace detente::data {
namespace {

using test::TempDir;
using testing::HasSubstr;

struct Row {
  std::vector<std::string> cells;
  std::size_t line;
  std::size_t place;
  bool operator==(const Row&) const = default;
};

struct Contents {
  std::vector<std::string> names;
  std::vector<Row> rows;
  std::string error;
};

void add_rows(const Table& table, Contents& contents) {
  contents.names = table.column_names();
  for (std::size_t i = 0; i < table.rows(); ++i) {
    Row row{{}, table.line(i), table.place(i)};
    for (std::size_t c = 0; c < table.columns(); ++c) row.cells.emplace_back(table.cell(i, c));
    contents.rows.push_back(std::move(row));
  }
}

Contents whole(const std::string& path) {
  Contents contents;
  try {
    add_rows(Table::read(path), contents);
  } catch (const Error& error) {
    contents.error = error.what();
  }
  return contents;
}

Contents portioned(const std::string& path,
                   TablePortions::Limits limits,
                   std::size_t* portions = nullptr) {
  Contents contents;
  try {
    TablePortions all(path, TableFormat::kAuto, limits);
    while (const auto table = all.next()) {
      add_rows(*table, contents);
      EXPECT_EQ(all.rows(), contents.rows.size());
      if (portions != nullptr) ++*portions;
    }
    EXPECT_FALSE(all.next().has_value());
  } catch (const Error& error) {
    contents.error = error.what();
  }
  return contents;
}

void expect_same(const TempDir& dir, const std::string& name, const std::string& text) {
  write_file_atomic(dir.file(name), text);
  const Contents expected = whole(dir.file(name));
  for (const std::size_t rows : {1, 2, 3, 1000}) {
    for (const std::size_t bytes : {1, 7, 1 << 20}) {
      const Contents given = portioned(dir.file(name), {rows, bytes});
      EXPECT_EQ(given.error, expected.error) << name << " " << rows << " " << bytes << "\n" << text;
      if (!expected.error.empty()) continue;
      EXPECT_EQ(given.names, expected.names) << text;
      EXPECT_EQ(given.rows, expected.rows) << name << " " << rows << " " << bytes << "\n" << text;
    }
  }
}

TEST(TablePortions, AreTheTableHoweverItIsWritten) {
  const TempDir dir;
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    for (const std::string& last : {std::string(), end, end + end, end + end + end}) {
      expect_same(dir, "a.tsv", "a\tb" + end + "1\tx" + end + "2\t" + end + "3\t\"" + last);
      expect_same(
          dir, "b.csv", "a,b" + end + "1,\"x, y\"" + end + "2,it\"s" + end + "3,\"\"" + last);
      if (end == "\r") continue;
      expect_same(dir,
                  "c.jsonl",
                  R"({"a": 1})" + end + R"({"b": "x", "a": null})" + end + R"({"c": 3})" + last);
      expect_same(
          dir,
          "d.csv",
          "a,b" + end + "\"1" + end + end + "2\",\"\"\"" + end + "\"" + end + "3,\",\"" + last);
    }
  }
  expect_same(dir,
              "bom.csv",
              "\xef\xbb\xbf"
              "a,b\n1,2\n3,4\n5,6\n");
  expect_same(dir, "one.tsv", "word\na\nb\nc");
  for (const char* cells : {"\"\"", "a\n\"\"\nb\n", "\"\"\n\"\"\n\n", "a\n\"\""}) {
    expect_same(dir, "one.csv", std::string("word\n") + cells);
  }
  write_file_atomic(dir.file("one.csv"), "word\n\"\"\na\n\"\"\n");
  EXPECT_EQ(whole(dir.file("one.csv")).rows.size(), 3U) << "a quoted nothing is an empty cell";
}

// Made from the letters that matter.
TEST(TablePortions, AreTheTableOfMadeUpText) {
  const TempDir dir;
  Rng rng(11);
  std::size_t good = 0;
  for (int round = 0; round < 400; ++round) {
    const bool csv = round % 2 == 0;
    const std::string letters = csv ? "a,\n\n\"1,\n" : "a\t\n\n1\t\n";
    std::string text = csv ? "x,y\n" : "x\ty\n";
    const std::size_t length = 1 + static_cast<std::size_t>(rng.uniform() * 24);
    for (std::size_t i = 0; i < length; ++i) {
      const bool row = rng.uniform() < 0.5;
      if (row) {
        text += csv ? "1,\"a\n\"\"b\"\n" : "1\ta\n";
      } else if (rng.uniform() < 0.2) {
        text +=
            letters[static_cast<std::size_t>(rng.uniform() * static_cast<double>(letters.size()))];
      }
    }
    const std::string name = csv ? "t.csv" : "t.tsv";
    write_file_atomic(dir.file(name), text);
    const Contents expected = whole(dir.file(name));
    const Contents given = portioned(dir.file(name), {2, 9});
    EXPECT_EQ(given.error, expected.error) << text;
    if (!expected.error.empty()) continue;
    ++good;
    EXPECT_EQ(given.rows, expected.rows) << text;
  }
  EXPECT_GT(good, 50U);
}

TEST(TablePortions, SayWhereInTheFileSomethingIsWrong) {
  const TempDir dir;
  std::string rows = "a,b\n";
  for (int i = 0; i < 50; ++i) rows += "\"1\n2\",x\n";
  for (const std::string wrong :
       {"1\n", "1,2,3\n", "\"open,2\n", "\"a\"b,2\n", "\xff,2\n", "\n1,2\n"}) {
    expect_same(dir, "t.csv", rows + wrong + "1,2\n");
  }
  expect_same(dir, "t.csv", rows + std::string("\0,2\n", 4));
  std::string lines;
  for (int i = 0; i < 50; ++i)
    lines += R"({"a": 1})"
             "\n";
  for (const std::string wrong : {"{\n",
                                  "[1]\n",
                                  "\n",
                                  R"({"a": 1, "a": 2})"
                                  "\n",
                                  R"({"a": {}})"
                                  "\n"}) {
    expect_same(dir,
                "t.jsonl",
                lines + wrong +
                    R"({"a": 2})"
                    "\n");
  }
}

TEST(TablePortions, RefuseWhatIsNoTable) {
  const TempDir dir;
  for (const std::string text : {"", "\n", "a,b", "a,b\n", "a,b\n\n\n", "a,a\n1,2\n"}) {
    expect_same(dir, "t.csv", text);
    expect_same(dir, "t.jsonl", text);
  }
  EXPECT_THAT(portioned(dir.file("none.csv"), {}).error, HasSubstr("No such file"));
  EXPECT_THAT(portioned(dir.file("none.doc"), {}).error, HasSubstr("names no format"));
  EXPECT_THAT(portioned("-", {}).error, HasSubstr("--format"));
}

TEST(TablePortions, EndWhereALimitIsReached) {
  const TempDir dir;
  std::string text = "a\tb\n";
  for (int i = 0; i < 100; ++i) text += std::to_string(i) + "\tsome words\n";
  write_file_atomic(dir.file("t.tsv"), text);
  std::size_t portions = 0;
  EXPECT_EQ(portioned(dir.file("t.tsv"), {30, 1 << 20}, &portions).rows.size(), 100U);
  EXPECT_EQ(portions, 4U);
  portions = 0;
  portioned(dir.file("t.tsv"), {1000, 500}, &portions);
  EXPECT_EQ(portions, 3U);
}

TEST(TablePortions, InflateOnTheWay) {
  const TempDir dir;
  std::string text = "a\tb\n";
  for (int i = 0; i < 20000; ++i) text += std::to_string(i * i) + "\tx\n";
  write_file_atomic(dir.file("t.tsv"), text);
  const gzFile packed = gzopen(dir.file("t.tsv.gz").c_str(), "wb");
  gzwrite(packed, text.data(), static_cast<unsigned>(text.size()));
  gzclose(packed);
  std::size_t portions = 0;
  const Contents given = portioned(dir.file("t.tsv.gz"), {1000, 1 << 20}, &portions);
  EXPECT_EQ(portions, 20U);
  EXPECT_EQ(given.rows, whole(dir.file("t.tsv")).rows);
}

}  // namespace
}  // namespace detente::data
