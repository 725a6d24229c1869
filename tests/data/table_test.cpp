// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/data/table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Table tsv(const std::string& content) { return Table::parse(content, "t.tsv", TableFormat::kTsv); }
Table csv(const std::string& content) { return Table::parse(content, "t.csv", TableFormat::kCsv); }

// The message of the kData error that `make` must throw.
template <class Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Tsv, GivesColumnsByName) {
  const Table table = tsv("a\tb\n1\tx\n2\ty\n");
  EXPECT_EQ(table.rows(), 2U);
  EXPECT_THAT(table.column_names(), ElementsAre("a", "b"));
  EXPECT_THAT(table.text_column("b"), ElementsAre("x", "y"));
  EXPECT_THAT(table.numeric_column("a"), ElementsAre(1.0, 2.0));
  EXPECT_EQ(table.cell(1, 0), "2");
  EXPECT_EQ(table.line(1), 3U);
}

TEST(Tsv, KnowsNoQuotes) {
  const Table table = tsv("a\tb\n\"open\tit's \"\"5\"\"\n");
  EXPECT_EQ(table.cell(0, 0), "\"open");
  EXPECT_EQ(table.cell(0, 1), "it's \"\"5\"\"");
}

TEST(Tsv, KeepsBlanksAndEmptyCells) {
  const Table table = tsv("a\tb\tc\n x \t\t y\n");
  EXPECT_EQ(table.cell(0, 0), " x ");
  EXPECT_EQ(table.cell(0, 1), "");
  EXPECT_EQ(table.cell(0, 2), " y");
}

TEST(Table, TakesEveryCustomOfTextFiles) {
  for (const std::string content : {"a\tb\n1\t2\n",
                                    "a\tb\n1\t2",
                                    "a\tb\r\n1\t2\r\n",
                                    "a\tb\r\n1\t2",
                                    "\xef\xbb\xbf"
                                    "a\tb\n1\t2\n",
                                    "a\tb\n1\t2\n\n\n",
                                    "a\tb\r\n1\t2\r\n\r\n"}) {
    const Table table = tsv(content);
    EXPECT_THAT(table.column_names(), ElementsAre("a", "b")) << content;
    EXPECT_EQ(table.rows(), 1U) << content;
    EXPECT_THAT(table.text_column("b"), ElementsAre("2")) << content;
    std::string with_commas = content;
    for (char& c : with_commas) c = c == '\t' ? ',' : c;
    EXPECT_THAT(csv(with_commas).text_column("b"), ElementsAre("2")) << with_commas;
  }
}

TEST(Csv, FollowsRfc4180) {
  const Table table = csv("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n\"two\nlines\",\n\"\",plain \"q\"\n");
  EXPECT_THAT(table.text_column("a"), ElementsAre("x, y", "two\nlines", ""));
  EXPECT_THAT(table.text_column("b"), ElementsAre("say \"hi\"", "", "plain \"q\""));
  EXPECT_EQ(table.line(2), 5U);  // the second row took two lines
}

TEST(Csv, TakesQuotedFieldsBeforeCarriageReturns) {
  const Table table = csv("\"a\",\"b\"\r\n1,\"2\"\r\n3,\"4\"");
  EXPECT_THAT(table.text_column("b"), ElementsAre("2", "4"));
}

// Cells are found eight bytes at a time: of every length, of bytes that are nearly separators.
TEST(Table, CellsComeBackAsTheyWereWritten) {
  Rng rng(7);
  const std::string letters = "+-.\x0b\x0c\x0e!a\x7f";  // neighbours of , and of tab and line feed
  for (const bool comma : {true, false}) {
    for (const bool quoted : {true, false}) {
      std::vector<std::vector<std::string>> rows(200, std::vector<std::string>(3));
      std::string text = comma ? "a,b,c" : "a\tb\tc";
      for (auto& row : rows) {
        text += '\n';
        for (std::size_t j = 0; j < 3; ++j) {
          for (std::uint64_t n = rng.below(20); n > 0; --n) {
            row[j] += rng.below(9) == 0 ? "é" : letters.substr(rng.below(letters.size()), 1);
          }
          row[j] += "x";
          if (j > 0) text += comma ? ',' : '\t';
          text += quoted && comma && rng.below(2) == 0 ? '"' + row[j] + '"' : row[j];
        }
      }
      const Table table = comma ? csv(text) : tsv(text);
      ASSERT_EQ(table.rows(), rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t j = 0; j < 3; ++j) ASSERT_EQ(table.cell(i, j), rows[i][j]);
      }
    }
  }
}

TEST(Csv, SaysWhereAQuoteIsOpenOrMisplaced) {
  EXPECT_THAT(refusal([] { csv("a,b\n1,2\n3,\"four\n5,6\n"); }),
              AllOf(HasSubstr("line 3"), HasSubstr("never closed")));
  EXPECT_THAT(refusal([] { csv("a,b\n\"x\"y,2\n"); }),
              AllOf(HasSubstr("line 2"), HasSubstr("after a closing quote")));
}

TEST(Table, SurvivesMovesAndCopies) {
  Table first = csv("a\n\"quoted \"\"x\"\"\"\nplain\n");
  const Table copy = first;
  const Table moved = std::move(first);
  EXPECT_THAT(copy.text_column("a"), ElementsAre("quoted \"x\"", "plain"));
  EXPECT_THAT(moved.text_column("a"), ElementsAre("quoted \"x\"", "plain"));
}

TEST(Table, RefusesFilesWithoutRows) {
  EXPECT_THAT(refusal([] { tsv(""); }), HasSubstr("'t.tsv' is empty"));
  EXPECT_THAT(refusal([] { tsv("a\tb\n"); }), HasSubstr("has a header but no rows"));
  EXPECT_THAT(refusal([] { tsv("a\tb"); }), HasSubstr("has a header but no rows"));
  EXPECT_THAT(refusal([] { tsv("a\tb\n\n"); }), HasSubstr("has a header but no rows"));
}

TEST(Table, RefusesRowsOfAnotherWidthWithTheLine) {
  EXPECT_THAT(refusal([] { tsv("a\tb\n1\t2\n1\t2\t3\n"); }),
              AllOf(HasSubstr("line 3"), HasSubstr("3 fields"), HasSubstr("expected 2")));
  EXPECT_THAT(refusal([] { csv("a,b\n1\n"); }), AllOf(HasSubstr("line 2"), HasSubstr("1 fields")));
  EXPECT_THAT(refusal([] { tsv("a\tb\n1\t2\n\n3\t4\n"); }),
              AllOf(HasSubstr("line 3"), HasSubstr("blank")));
}

TEST(Table, RefusesRepeatedColumnNames) {
  EXPECT_THAT(refusal([] { tsv("a\tb\ta\n1\t2\t3\n"); }), HasSubstr("the column 'a' twice"));
}

TEST(Table, NamesLineAndByteOfInvalidUtf8) {
  EXPECT_THAT(refusal([] { tsv("a\tb\n가\tok\nx\t\xb0\xa1\n"); }),
              AllOf(HasSubstr("'t.tsv'"),
                    HasSubstr("line 3, byte 3 of the line (byte 14 of the file)"),
                    HasSubstr("0xb0"),
                    HasSubstr("CP949")));
  EXPECT_THAT(refusal([] { tsv("\xff\ta\n1\t2\n"); }), HasSubstr("line 1, byte 1 of the line"));
}

TEST(Table, RefusesNulBytesAndUtf16) {
  EXPECT_THAT(refusal([] { tsv(std::string("a\n1\n2\0x\n", 8)); }),
              AllOf(HasSubstr("NUL"), HasSubstr("line 3, byte 2")));
  EXPECT_THAT(refusal([] {
                tsv(
                    std::string("\xff\xfe"
                                "a\0\n\0",
                                6));
              }),
              HasSubstr("UTF-16"));
}

TEST(Table, NamesTheNearestColumnAndAllOfThem) {
  const Table table = tsv("sentence1\tsentence2\tscore\na\tb\t1\n");
  EXPECT_TRUE(table.has_column("score"));
  EXPECT_FALSE(table.has_column("scores"));
  EXPECT_THAT(refusal([&] { table.text_column("sentense1"); }),
              AllOf(HasSubstr("no column 'sentense1'"),
                    HasSubstr("sentence1, sentence2, score"),
                    HasSubstr("Did you mean 'sentence1'?")));
  EXPECT_THAT(refusal([] { csv("a\tb\n1\t2\n").text_column("a"); }), HasSubstr("not split"));
}

TEST(NumericColumn, ReadsNumbersAsPeopleWriteThem) {
  const Table table = tsv("x\n1\n-2.5\n+3\n 4 \n3.38e-005\n.5\n1e3\n");
  EXPECT_THAT(table.numeric_column("x"), ElementsAre(1, -2.5, 3, 4, 3.38e-5, 0.5, 1000));
}

TEST(NumericColumn, MarksMissingCells) {
  const Table table = csv("x,y\n,1\nNA,1\nNaN,1\nnull,1\nnan,1\nNULL,1\n  ,1\n7,1\n");
  const auto values = table.numeric_column("x");
  for (std::size_t i = 0; i + 1 < values.size(); ++i) EXPECT_TRUE(std::isnan(values[i])) << i;
  EXPECT_EQ(values.back(), 7.0);
}

TEST(NumericColumn, RefusesWhatIsNoFiniteNumber) {
  for (const std::string cell : {"abc",
                                 "1,5",
                                 "1.2.3",
                                 "5점",
                                 "inf",
                                 "-Infinity",
                                 "1e999",
                                 "0x10",
                                 "--1",
                                 "+",
                                 "1 2",
                                 "none"}) {
    const Table table = tsv("a\tx\n-\t1\n-\t" + cell + "\n");
    EXPECT_THAT(refusal([&] { table.numeric_column("x"); }),
                AllOf(HasSubstr("line 3"), HasSubstr("column 'x'"), HasSubstr("'" + cell + "'")))
        << cell;
  }
}

class TableFile : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) {
    return std::filesystem::path(testing::TempDir()) / ("detente_table_" + name);
  }
  void TearDown() override {
    for (const auto& p : written_) std::filesystem::remove(p);
  }
  std::filesystem::path write(const std::string& name, const std::string& content) {
    written_.push_back(path(name));
    write_file_atomic(written_.back(), content);
    return written_.back();
  }
  std::vector<std::filesystem::path> written_;
};

TEST_F(TableFile, TakesTheFormatFromTheExtension) {
  EXPECT_EQ(Table::read(write("a.TSV", "x,y\tz\n1\t2\n")).column_names().size(), 2U);
  EXPECT_EQ(Table::read(write("a.csv", "x,y\tz\n1,2\n")).column_names().size(), 2U);
  EXPECT_EQ(Table::read(write("a.dat", "x,y\n1,2\n"), TableFormat::kCsv).column_names().size(), 2U);
  EXPECT_THAT(refusal([&] { Table::read(write("b.dat", "x\n1\n")); }),
              HasSubstr("names no format"));
}

TEST_F(TableFile, MissingFileIsAnIoErrorThatNamesIt) {
  for (const char* name : {"missing.tsv", "missing.dat"}) {
    try {
      Table::read(path(name));
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  }
}

TEST_F(TableFile, CutGzipIsADataError) {
  const std::string whole = [] {
    // The bytes as they are on disk, not inflated.
    std::FILE* file = std::fopen(DETENTE_SOURCE_DIR "/data/klue_sts/dev.tsv.gz", "rb");
    std::string bytes(2000, '\0');
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    return bytes;
  }();
  EXPECT_THAT(refusal([&] { Table::read(write("cut.tsv.gz", whole)); }), HasSubstr("cut.tsv.gz"));
}

TEST(Table, TakesCarriageReturnsAlone) {
  EXPECT_THAT(csv("a,b\r1,2\r3,4\r").text_column("b"), ElementsAre("2", "4"));
  EXPECT_THAT(tsv("a\tb\r1\t2\r3\t4").text_column("b"), ElementsAre("2", "4"));
}

TEST(Table, DropsBlanksAroundColumnNames) {
  const Table table = csv("id, score ,\"kind \"\n1, 2 ,x\n");
  EXPECT_THAT(table.column_names(), ElementsAre("id", "score", "kind"));
  EXPECT_THAT(table.text_column("score"), ElementsAre(" 2 "));
  EXPECT_THAT(refusal([] { csv("a, a\n1,2\n"); }), HasSubstr("the column 'a' twice"));
}

TEST(Csv, RecognisesOtherSeparators) {
  EXPECT_THAT(refusal([] { csv("a;b\n1;2\n").text_column("a"); }), HasSubstr("semicolons"));
  EXPECT_THAT(refusal([] { csv("a;b\n1,5;2\n"); }), HasSubstr("semicolons"));
  EXPECT_THAT(refusal([] { csv("a\tb\n1,5\t2\n"); }), HasSubstr("data.format: tsv"));
  EXPECT_THAT(refusal([] { tsv("a,b\n1,2\n").text_column("a"); }), HasSubstr("data.format: csv"));
}

TEST(Table, IsQuickWithManyColumns) {
  std::string header;
  std::string row;
  for (int i = 0; i < 100000; ++i) {
    header += (i > 0 ? "," : "") + ("gene_" + std::to_string(i));
    row += i > 0 ? ",1" : "1";
  }
  const Table table = csv(header + "\n" + row + "\n");
  for (const std::string& name : table.column_names()) table.column_index(name);
  const std::string message = refusal([&] { table.column_index("gene_77x"); });
  EXPECT_LT(message.size(), 500U);
  EXPECT_THAT(message, AllOf(HasSubstr("gene_77,"), HasSubstr("99990 more")));
}

TEST(MadeTable, HoldsAnyTextAndCountsRowsAsLines) {
  const Table table =
      Table::made({"a", "b"}, {{"x\t\n", "", "\"q\","}, {"1", "NA", "3"}}, "source");
  EXPECT_EQ(table.rows(), 3U);
  EXPECT_EQ(table.cell(0, 0), "x\t\n");
  EXPECT_EQ(table.cell(2, 0), "\"q\",");
  EXPECT_EQ(table.numeric_column("b")[2], 3.0);
  EXPECT_EQ(table.line(2), 3U);
  const Table last = table.select(std::vector<std::size_t>{2});
  EXPECT_EQ(last.cell(0, 1), "3");
  EXPECT_EQ(last.source(), "source");
  EXPECT_THROW(table.column_index("c"), Error);
}

}  // namespace
}  // namespace detente::data
