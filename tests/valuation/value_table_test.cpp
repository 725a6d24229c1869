// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/value_table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;

constexpr const char* kHeader = "id,task_trained,task_judged,modality,value,stderr,count,method\n";

TEST(ValueTable, AVerdictIsBeyondTwoStandardErrors) {
  EXPECT_EQ(verdict(1.0, 0.4), Verdict::kHelpful);
  EXPECT_EQ(verdict(-1.0, 0.4), Verdict::kHarmful);
  EXPECT_EQ(verdict(1.0, 0.5), Verdict::kUndecided);
  EXPECT_EQ(verdict(0.0, 0.0), Verdict::kUndecided);
  EXPECT_EQ(verdict(std::nan(""), 0.1), Verdict::kUndecided);
  EXPECT_EQ(verdict(1.0, std::nan("")), Verdict::kUndecided);
}

ValueTable read_back(const std::string& csv) {
  const test::TempDir dir;
  return read_values(dir.write("values.csv", csv));
}

std::string message_of(const std::string& csv) {
  const test::TempDir dir;
  const std::string path = dir.write("values.csv", csv);
  const Error error = test::error_of([&] { read_values(path); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr(path));
  return error.what();
}

void expect_bits(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a[i]), std::bit_cast<std::uint64_t>(b[i])) << a[i];
  }
}

void expect_same(const ValueTable& a, const ValueTable& b) {
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.ids, b.ids);
  ASSERT_EQ(a.series.size(), b.series.size());
  for (std::size_t s = 0; s < a.series.size(); ++s) {
    EXPECT_EQ(a.series[s].task_trained, b.series[s].task_trained);
    EXPECT_EQ(a.series[s].task_judged, b.series[s].task_judged);
    EXPECT_EQ(a.series[s].modality, b.series[s].modality);
    expect_bits(a.series[s].values, b.series[s].values);
    expect_bits(a.series[s].standard_errors, b.series[s].standard_errors);
    EXPECT_EQ(a.series[s].counts, b.series[s].counts);
  }
}

ValueTable example() {
  return {
      "knn, \"exact\"",
      {3, 0, 7},
      {{"a,b", "say \"so\"", "line\nbreak", {0.1, kNan, -1e-300}, {kNan, 0.25, 1.0 / 3}, {1, 0, 9}},
       {"", " blank ", "c\r\nd", {-0.0, 5e-324, 1.7976931348623157e308}, {}, {}},
       {kAll, kAll, kAll, {1, std::numeric_limits<double>::infinity(), -2}, {0, 0, 0}, {2, 2, 2}}}};
}

TEST(ValueTable, ReadsBackWhatItWrote) {
  expect_same(read_back(to_csv(example())), example());
  Rng rng(1);
  ValueTable table{"method", {}, {{"a", "b"}, {"a", "c"}}};
  for (int i = 0; i < 500; ++i) {
    table.ids.push_back(i);
    for (ValueSeries& one : table.series) {
      one.values.push_back(std::bit_cast<double>(rng()));
      one.counts.push_back(static_cast<std::int64_t>(rng.below(1000)));
    }
  }
  expect_same(read_back(to_csv(table)), table);
}

TEST(ValueTable, WritesWhatTheStandardSays) {
  const std::string csv = to_csv(example());
  EXPECT_THAT(csv,
              testing::StartsWith(
                  std::string(kHeader) +
                  "3,\"a,b\",\"say \"\"so\"\"\",\"line\nbreak\",0.1,,1,\"knn, \"\"exact\"\"\"\n"
                  "0,\"a,b\",\"say \"\"so\"\"\",\"line\nbreak\",,0.25,0,\"knn, \"\"exact\"\"\"\n"));
}

TEST(ValueTable, ATableWithoutLinesIsAHeader) {
  EXPECT_EQ(to_csv({}), kHeader);
  expect_same(read_back(kHeader), {});
}

TEST(ValueTable, ReadsLinesThatASpreadsheetSaved) {
  std::string csv;
  for (const char c : to_csv({"m", {4}, {{"a\nb", "c", "\"d\"", {2.5}}}})) {
    if (c == '\n' && !csv.ends_with("a")) csv += '\r';
    csv += c;
  }
  expect_same(read_back(csv), {"m", {4}, {{"a\nb", "c", "\"d\"", {2.5}}}});
}

// Whole lines of a single series may be missing, which nobody can know.
TEST(ValueTable, NoticesACutWhereverALineOrAnotherSeriesIsIncomplete) {
  const std::string csv = to_csv(example());
  std::vector<std::size_t> harmless;
  const test::TempDir dir;
  for (std::size_t length = 0; length < csv.size(); ++length) {
    const std::string path = dir.write("values.csv", csv.substr(0, length));
    try {
      const ValueTable table = read_values(path);
      harmless.push_back(length);
      for (const ValueSeries& one : table.series) EXPECT_EQ(one.values.size(), table.ids.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_THAT(error.what(), HasSubstr("line"));
    }
  }
  // After the header, the first series' lines, and the second series.
  EXPECT_EQ(harmless.size(), 5u);
}

TEST(ValueTable, NamesTheLineOfWhatItCannotHaveWritten) {
  const std::string head = kHeader;
  const std::string first = head + "0,a,b,c,1,,1,m\n1,a,b,c,1,,1,m\n";
  EXPECT_THAT(message_of(""), HasSubstr("line 1 ends in the middle"));
  EXPECT_THAT(message_of("id,value\n"), HasSubstr("line 1 has 2 fields; expected 8"));
  EXPECT_THAT(message_of("ID,a,b,c,d,e,f,g\n"), HasSubstr("no table of values"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1,,1\n"), HasSubstr("line 4 has 7 fields"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1,,1,m,\n"), HasSubstr("line 4 has 9 fields"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1e,,1,m\n"), HasSubstr("line 4 has value '1e'"));
  EXPECT_THAT(message_of(first + "2,a,b,c,nan,,1,m\n"), HasSubstr("value 'nan'"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1, 2,1,m\n"), HasSubstr("stderr ' 2'"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1,,-1,m\n"), HasSubstr("count '-1'"));
  EXPECT_THAT(message_of(first + "-2,a,b,c,1,,1,m\n"), HasSubstr("id '-2'"));
  EXPECT_THAT(message_of(first + "1,a,b,c,1,,1,m\n"), HasSubstr("line 4 has id 1 a second time"));
  EXPECT_THAT(message_of(first + "2,a,b,c,1,,1,n\n"), HasSubstr("method 'n'; expected 'm'"));
  EXPECT_THAT(message_of(first + "2,a,b\"c,c,1,,1,m\n"), HasSubstr("quotation mark"));
  EXPECT_THAT(message_of(first + "2,\"a\"b,b,c,1,,1,m\n"), HasSubstr("quotation mark"));
  EXPECT_THAT(message_of(first + "2,\"a,b,c,1,,1,m\n"), HasSubstr("line 4 ends within"));
  EXPECT_THAT(message_of(first + "0,x,b,c,1,,1,m\n"), HasSubstr("1 examples of 2"));
  EXPECT_THAT(message_of(first + "0,x,b,c,1,,1,m\n0,y,b,c,1,,1,m\n"),
              HasSubstr("line 4 is the last of series 2"));
  EXPECT_THAT(message_of(first + "1,x,b,c,1,,1,m\n"), HasSubstr("has id 1; expected 0"));
  EXPECT_THAT(message_of(first + "0,x,b,c,1,,1,m\n1,x,b,c,1,,1,m\n2,x,b,c,1,,1,m\n"),
              HasSubstr("line 6 has id 2; expected the end"));
  EXPECT_THAT(message_of(first + "0,x,b,c,1,,1,m\n1,x,b,c,1,,1,m\n0,a,b,c,1,,1,m\n"),
              HasSubstr("line 6 goes back"));
  // Lines within quotation marks count.
  EXPECT_THAT(message_of(head + "0,\"a\n\n\",b,c,1,,1,m\n1,\"a\n\n\",b,c,x,,1,m\n"),
              HasSubstr("line 5 has value 'x'"));
  EXPECT_EQ(test::error_of([] { read_values("/nowhere/at/all.csv"); }).code(), ErrorCode::kIo);
}

TEST(ValueTable, RefusesToWriteWhatCouldNotBeReadBack) {
  const auto code = [](const ValueTable& table) {
    return test::error_of([&] { to_csv(table); }).code();
  };
  EXPECT_EQ(code({"m", {0, 1}, {{"a", "b", "c", {1}}}}), ErrorCode::kShape);
  EXPECT_EQ(code({"m", {0}, {{"a", "b", "c", {1}, {1, 2}}}}), ErrorCode::kShape);
  EXPECT_EQ(code({"m", {0}, {{"a", "b", "c", {1}, {}, {1, 2}}}}), ErrorCode::kShape);
  EXPECT_EQ(code({"m", {0}, {{"a", "b", "c", {1}, {}, {-1}}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({"m", {0, 0}, {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({"m", {-1}, {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({"m", {0}, {{"a", "b", "c", {1}}, {"a", "b", "c", {1}}}}),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::valuation
