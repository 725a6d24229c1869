// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/data/table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <string>

namespace detente::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Table lines(const std::string& text) {
  return Table::parse(text, "x.jsonl", TableFormat::kJsonLines);
}

std::string refused(const std::string& text) {
  const Error error = test::error_of([&] { lines(text); });
  EXPECT_EQ(error.code(), ErrorCode::kData) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("x.jsonl"));
  return error.what();
}

TEST(JsonLines, KeysAreColumnsAndValuesCells) {
  const Table table = lines(
      "{\"text\": \"red, \\\"blue\\\"\\n\", \"n\": 3.5e-2, \"yes\": true}\n"
      "{\"n\": -7, \"text\": \"바다 \\uBC14\\uB2E4 \\ud83d\\ude00\", \"no\": false, \"yes\": "
      "null}\n");
  EXPECT_THAT(table.column_names(), ElementsAre("text", "n", "yes", "no"));
  EXPECT_THAT(table.text_column("text"), ElementsAre("red, \"blue\"\n", "바다 바다 😀"));
  EXPECT_THAT(table.text_column("n"), ElementsAre("3.5e-2", "-7"));
  EXPECT_THAT(table.text_column("yes"), ElementsAre("1", ""));
  EXPECT_THAT(table.text_column("no"), ElementsAre("", "0"));
  EXPECT_EQ(table.line(1), 2U);
  EXPECT_EQ(table.numeric_column("n")[1], -7);
}

TEST(JsonLines, NumbersKeepTheirDigits) {
  const Table table = lines(
      "{\"a\": 18446744073709551615, \"b\": 0.1000000000000000055, \"c\": -9223372036854775808, "
      "\"d\": 1e-400, \"e\": -0}\n");
  EXPECT_THAT(table.text_column("a"), ElementsAre("18446744073709551615"));
  EXPECT_THAT(table.text_column("b"), ElementsAre("0.1000000000000000055"));
  EXPECT_THAT(table.text_column("c"), ElementsAre("-9223372036854775808"));
  EXPECT_EQ(table.numeric_column("d")[0], 0);
  EXPECT_EQ(table.numeric_column("e")[0], 0);
}

TEST(JsonLines, TakesWhatTablesTake) {
  for (const char* text : {"\xef\xbb\xbf{\"a\":1}\n{\"a\":2}\n",
                           "{\"a\":1}\r\n{\"a\":2}\r\n",
                           "{\"a\":1}\r{\"a\":2}",
                           "{\"a\":1}\n{\"a\":2}\n\n  \n",
                           " { \" a \" : 1 } \n\t{\"a\":2}"}) {
    EXPECT_THAT(lines(text).text_column("a"), ElementsAre("1", "2")) << text;
  }
}

TEST(JsonLines, RefusesWithLineAndKey) {
  EXPECT_THAT(refused("{\"a\":1}\n{\"a\":{\"b\":1}}\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("key 'a' holds an object")));
  EXPECT_THAT(refused("{\"a\":[1,2]}\n"), AllOf(HasSubstr("line 1"), HasSubstr("holds a list")));
  EXPECT_THAT(refused("{\"a\":1}\n{\"b\":1,\"a\":2,\"b\":3}\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("key 'b' twice")));
  EXPECT_THAT(refused("{\"a\":1}\n{\"a\":1, \"a \":1}\n"), HasSubstr("key 'a' twice"));
  for (const char* other : {"[{\"a\":1}]", "3", "\"a\"", "null", "true", "[]"}) {
    EXPECT_THAT(refused(std::string("{\"a\":1}\n") + other + "\n"),
                AllOf(HasSubstr("line 2"), HasSubstr("not an object")))
        << other;
  }
  for (const char* broken : {"{\"a\":1",
                             "{\"a\":}",
                             "{'a':1}",
                             "{\"a\":1}{\"a\":1}",
                             "{\"a\":NaN}",
                             "{\"a\":01}",
                             "{a:1}",
                             "{\"a\":\"\\ud800\"}",
                             "{\"a\":1,}",
                             "a,b",
                             "{",
                             "{\n"}) {
    EXPECT_THAT(refused(broken), AllOf(HasSubstr("line 1"), HasSubstr("no JSON"))) << broken;
  }
  EXPECT_THAT(refused("{\"a\":1e999}\n"), HasSubstr("too large"));
  EXPECT_THAT(refused("{\"a\":1}\n\n{\"a\":2}\n"), HasSubstr("line 2"));
  EXPECT_THAT(refused("{\"a\":\"x\\u0000y\"}\n"), AllOf(HasSubstr("key 'a'"), HasSubstr("NUL")));
  EXPECT_THAT(refused("{\"a\\u0000\":1}\n"), HasSubstr("NUL"));
  EXPECT_THAT(refused("{\"a\":\"\xff\"}\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(refused(""), HasSubstr("is empty"));
  EXPECT_THAT(refused("\n\n"), HasSubstr("no line with an object"));
  EXPECT_THAT(refused("{}\n{}\n"), HasSubstr("no key"));
}

TEST(JsonLines, EverNewKeysCostNoMemory) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "{\"k" + std::to_string(i) + "\":1}\n";
  EXPECT_THAT(refused(text), HasSubstr("different keys"));
  // Some hundred optional keys are fine.
  text.clear();
  for (int i = 0; i < 3000; ++i) {
    text += "{\"id\":" + std::to_string(i) + ",\"k" + std::to_string(i % 300) + "\":\"" +
            std::string(40, 'x') + "\"}\n";
  }
  const Table table = lines(text);
  EXPECT_EQ(table.columns(), 301U);
  EXPECT_EQ(table.cell(2999, table.column_index("k299")), std::string(40, 'x'));
  EXPECT_EQ(table.cell(2999, table.column_index("k298")), "");
}

TEST(JsonLines, HugeLinesAndDeepNestingEndWell) {
  const std::string huge(3'000'000, 'y');
  EXPECT_EQ(lines("{\"a\":\"" + huge + "\"}\n").cell(0, 0), huge);
  EXPECT_THAT(refused("{\"a\":" + std::string(200'000, '[') + "}\n"), HasSubstr("key 'a'"));
  EXPECT_THAT(refused(std::string(200'000, '[') + "\n"), HasSubstr("not an object"));
}

// Any text in any cell, as JSON and as CSV: one table.
TEST(JsonLines, AgreesWithCsv) {
  Rng rng(4);
  const std::vector<std::string> pieces = {
      "a", "\"", ",", "\n", "\\", "\t", "바", "😀", " ", "/", "\x01", "\x7f", "{", "]", ":"};
  const std::vector<std::string> names = {"first", "the \"second\"", "세째", "null", "yes: no"};
  std::string json;
  std::string csv;
  const auto quoted = [](const std::string& cell) {
    std::string text = "\"";
    for (const char c : cell) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    return text + "\"";
  };
  for (const std::string& name : names) csv += (csv.empty() ? "" : ",") + quoted(name);
  csv += "\n";
  for (int row = 0; row < 200; ++row) {
    Json object = Json::object();
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string cell;
      for (std::uint64_t n = rng.below(6); n > 0; --n) cell += pieces[rng.below(pieces.size())];
      object[names[i]] = cell;
      csv += (i > 0 ? "," : "") + quoted(cell);
    }
    csv += "\n";
    json += object.dump(-1, ' ', row % 2 == 0) + "\n";
  }
  const Table one = lines(json);
  const Table two = Table::parse(csv, "x.csv", TableFormat::kCsv);
  ASSERT_EQ(one.column_names(), two.column_names());
  for (const std::string& name : names) EXPECT_EQ(one.text_column(name), two.text_column(name));
}

TEST(JsonLines, AreKnownByTheirEnding) {
  const test::TempDir folder;
  write_file_atomic(folder.path() / "t.JSONL", "{\"a\":1}\n");
  EXPECT_EQ(Table::read(folder.path() / "t.JSONL").rows(), 1U);
  write_file_atomic(folder.path() / "t.json", "{\"a\":1}\n");
  EXPECT_THAT(test::error_of([&] { Table::read(folder.path() / "t.json"); }).what(),
              HasSubstr(".jsonl"));
  EXPECT_EQ(Table::read(folder.path() / "t.json", TableFormat::kJsonLines).rows(), 1U);
}

}  // namespace
}  // namespace detente::data
