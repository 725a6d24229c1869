// SPDX-License-Identifier: Apache-2.0
// Targets of several numbers per row.
#include <detente/core/error.h>
#include <detente/data/inspect.h>
#include <detente/data/table_source.h>
#include <detente/data/targets.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace detente::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string message_of(const std::function<void()>& body) { return test::error_of(body).what(); }

TargetColumn words(std::vector<std::string> names, char separator = '|') {
  TargetColumn column{.task = "genres", .column = "y", .kind = TaskKind::kLabels};
  column.separator = separator;
  column.class_names = std::move(names);
  return column;
}

Target read_wide(const std::string& text,
                 const TargetColumn& column,
                 std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> unused;
  const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
  return read_target(table, column, table.rows(), warnings == nullptr ? unused : *warnings);
}

// -1: missing.
std::vector<int> cells(const Target& target) {
  std::vector<int> values;
  for (const double value : target.values) {
    values.push_back(std::isnan(value) ? -1 : static_cast<int>(value));
  }
  return values;
}

TEST(LabelsOfOneColumn, AreTheWordsBetweenSeparators) {
  const Target target = read_wide("x,y\n1,a|c\n2,b\n3, c | a |a\n", words({"a", "b", "c"}));
  EXPECT_EQ(target.columns, 3U);
  EXPECT_EQ(target.rows(), 3U);
  EXPECT_EQ(target.missing, 0U);
  EXPECT_THAT(cells(target), ElementsAre(1, 0, 1, 0, 1, 0, 1, 0, 1));
}

TEST(LabelsOfOneColumn, TellARowWithoutLabelsFromAMissingOne) {
  const Target target = read_wide("x,y\n1,|\n2,\n3,NA\n4,a\n5,|b\n", words({"a", "b"}));
  EXPECT_THAT(cells(target), ElementsAre(0, 0, -1, -1, -1, -1, 1, 0, 0, 1));
  EXPECT_EQ(target.missing, 2U);
}

TEST(LabelsOfOneColumn, MayBeNamedAnything) {
  const Target target = read_wide("x,y\n1,NA;yes\n2,\"한국; \"\"so\"\"\"\n3,;\n",
                                  words({"NA", "yes", "한국", "\"so\""}, ';'));
  EXPECT_THAT(cells(target), ElementsAre(1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0));
}

TEST(LabelsOfOneColumn, RefuseAnUnknownWordWithItsLine) {
  const std::string error = message_of([] {
    read_wide("x,y\n1,a\n2,a|drma\n", words({"a", "drama"}));
  });
  EXPECT_THAT(error,
              AllOf(HasSubstr("line 3 of 't.csv'"),
                    HasSubstr("'drma' is no label of task 'genres'"),
                    HasSubstr("Did you mean 'drama'?")));
}

TEST(LabelsOfOneColumn, NeedOneRowThatSaysSomething) {
  EXPECT_THAT(message_of([] {
                read_wide("x,y\n1,\n2,?\n", words({"a", "b"}));
              }),
              HasSubstr("has no target"));
}

TEST(LabelsOfOneColumn, WarnOfLabelsThatSayNothing) {
  std::vector<std::string> warnings;
  read_wide("x,y\n1,a|b\n2,a\n3,\n", words({"a", "b", "c"}), &warnings);
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_THAT(warnings[0], AllOf(HasSubstr("no row"), HasSubstr("label c")));
  EXPECT_THAT(warnings[1], AllOf(HasSubstr("every row"), HasSubstr("label a")));
}

TEST(SeveralColumns, AreReadOneByOne) {
  TargetColumn column{.task = "pose", .kind = TaskKind::kRegression};
  column.columns = {"y", "x"};
  std::vector<std::string> warnings;
  const Target target = read_wide("x,y\n1,10\n2,\n,30\n,\n5,50\n", column, &warnings);
  EXPECT_THAT(cells(target), ElementsAre(10, 1, -1, 2, 30, -1, -1, -1, 50, 5));
  EXPECT_EQ(target.missing, 1U);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(SeveralColumns, OfLabelsHoldZeroAndOne) {
  TargetColumn column{.task = "l", .kind = TaskKind::kLabels};
  column.columns = {"x", "y"};
  EXPECT_THAT(cells(read_wide("x,y\n0,1\n1,0\n,1\n", column)), ElementsAre(0, 1, 1, 0, -1, 1));
  EXPECT_THAT(message_of([&] { read_wide("x,y\n0,1\n2,0\n", column); }),
              AllOf(HasSubstr("line 3"), HasSubstr("column 'x'"), HasSubstr("0 or 1")));
  EXPECT_THAT(message_of([&] { read_wide("x,z\n0,1\n1,0\n", column); }), HasSubstr("'y'"));
}

TEST(OrderedClasses, AreReadAsClassesAre) {
  const TargetColumn column{.task = "grade",
                            .column = "y",
                            .kind = TaskKind::kOrdinal,
                            .class_names = {"low", "mid", "high"}};
  EXPECT_THAT(cells(read_wide("x,y\n1,high\n2,low\n3,\n", column)), ElementsAre(2, 0, -1));
  const TargetColumn ids{.task = "grade", .column = "y", .kind = TaskKind::kOrdinal, .classes = 3};
  EXPECT_THAT(message_of([&] { read_wide("x,y\n1,0\n2,3\n", ids); }), HasSubstr("below 3"));
}

class WideSource : public ::testing::Test {
 protected:
  SourceInput input() {
    std::string text = "x,a,b,tags\n";
    for (int i = 0; i < 30; ++i) {
      text += std::to_string(i % 11) + "," + std::to_string(i % 2) + "," +
              std::to_string((i / 2) % 2) + "," + (i % 3 == 0 ? "red" : "red+big") + "\n";
    }
    SourceInput input;
    input.files.train = folder_.write("t.csv", text);
    input.files.split = {.dev = 0.3};
    TargetColumn both{.task = "both", .kind = TaskKind::kLabels};
    both.columns = {"a", "b"};
    TargetColumn tags = words({"red", "big"}, '+');
    tags.column = "tags";
    input.targets = {both, tags};
    return input;
  }

  test::TempDir folder_;
};

TEST_F(WideSource, HasAnArrayOfRowsAndColumnsAndNoTargetAmongItsInputs) {
  TableSource source;
  source.read(input(), nullptr);
  const std::vector<std::size_t> rows = {0, 2, 1};
  const Batch batch = source.target_batch(rows);
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_THAT(batch[0].shape, ElementsAre(3, 2));
  const auto& values = std::get<std::vector<double>>(batch[0].values);
  const auto& all = source.target("both").values;
  EXPECT_THAT(values, ElementsAre(all[0], all[1], all[4], all[5], all[2], all[3]));
  ASSERT_EQ(source.input_columns().size(), 1U);
  EXPECT_EQ(source.input_columns()[0].name, "x");
}

TEST_F(WideSource, IsLookedAtOneNumberAtATime) {
  const SourceInput in = input();
  const DataFindings found = inspect_data(TableSource(), in.files, in.targets);
  std::vector<std::string> names;
  for (const TaskFindings& task : found.tasks) {
    names.push_back(task.name);
    EXPECT_EQ(task.kind, TaskKind::kBinary);
    EXPECT_EQ(task.parts.front().counts.size(), 2U);
  }
  EXPECT_THAT(names, ElementsAre("both.a", "both.b", "genres.red", "genres.big"));
  EXPECT_EQ(found.tasks[2].column, "tags");
  EXPECT_NO_THROW(found.to_json().dump());
}

}  // namespace
}  // namespace detente::data
