// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/targets.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace detente::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Target read(const std::string& cells,
            const TargetColumn& column,
            std::vector<std::string>& warnings) {
  const Table table = Table::parse("x,y\n" + cells, "t.csv", TableFormat::kCsv);
  return read_target(table, column, table.rows(), warnings);
}

std::string refusal(const std::string& cells, const TargetColumn& column) {
  std::vector<std::string> warnings;
  try {
    read(cells, column, warnings);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    return error.what();
  }
  return "no error";
}

std::vector<int> ids(const std::string& cells, const std::vector<std::string>& names) {
  std::vector<std::string> warnings;
  const Target target =
      read(cells,
           {.task = "t", .column = "y", .kind = TaskKind::kClasses, .class_names = names},
           warnings);
  std::vector<int> found;
  for (const double value : target.values) {
    found.push_back(std::isnan(value) ? -1 : static_cast<int>(value));
  }
  return found;
}

TEST(ReadTarget, MissesNamedClassesInEveryWay) {
  EXPECT_THAT(ids("1,no\n1,NA\n1,\n1,?\n1,null\n1,NaN\n1,yes\n1, \n", {"no", "yes"}),
              ElementsAre(0, -1, -1, -1, -1, -1, 1, -1));
}

TEST(ReadTarget, LetsAClassBeNamedLikeAMissingCell) {
  EXPECT_THAT(ids("1,NA\n1,na\n1,yes\n1,?\n", {"NA", "yes"}), ElementsAre(0, -1, 1, -1));
  EXPECT_THAT(ids("1,NULL\n1,no\n1,on\n", {"NULL", "no", "on"}), ElementsAre(0, 1, 2));
}

TEST(ReadTarget, MayLackEveryTargetWhereItIsOnlyMeasured) {
  TargetColumn number{.task = "t", .column = "y"};
  EXPECT_THAT(refusal("1,\n2,NA\n", number),
              HasSubstr("task 't' has no target: column 'y' of 't.csv' is missing in all 2 rows"));
  TargetColumn words{.task = "t",
                     .column = "y",
                     .separator = ';',
                     .kind = TaskKind::kLabels,
                     .class_names = {"a"}};
  EXPECT_THAT(refusal("1,\n2,\n", words), HasSubstr("expected words"));
  for (TargetColumn column : {number, words}) {
    column.may_lack = true;
    std::vector<std::string> warnings;
    const Target target = read("1,\n2,\n", column, warnings);
    EXPECT_EQ(target.missing, 2U);
    EXPECT_EQ(target.rows(), 2U);
    for (const double value : target.values) EXPECT_TRUE(std::isnan(value));
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("Task 't' has no target here")));
  }
}

TEST(ReadTarget, SaysWhatToDoWithWords) {
  const TargetColumn number{.task = "t", .column = "y"};
  EXPECT_THAT(refusal("1,2\n1,yes\n1,no\n1,yes\n", number),
              AllOf(HasSubstr("line 3 of 't.csv', column 'y': 'yes' is no number"),
                    HasSubstr("head: classes and class_names: [no, yes]")));
  EXPECT_THAT(refusal("1,yes\n1,no\n", {.task = "t", .column = "y", .kind = TaskKind::kBinary}),
              AllOf(HasSubstr("expected 0 or 1"), HasSubstr("class_names: [no, yes]")));
  EXPECT_THAT(refusal("1,2\n1,oops\n", number), HasSubstr("correct the cell"));
}

TEST(ReadTarget, CountsWhatLiesOutsideTheScaleOnce) {
  std::vector<std::string> warnings;
  TargetColumn column{.task = "t", .column = "y"};
  column.range = {0.0, 5.0};
  read("1,0\n1,5\n1,7\n1,-1\n1,NA\n", column, warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("2 of 4 targets")));
  warnings.clear();
  read("1,0\n1,5\n", column, warnings);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(ReadTarget, RefusesWhatTheNetworksNumbersCannotHold) {
  TargetColumn column{.task = "t", .column = "y"};
  EXPECT_EQ(refusal("1,1e308\n1,2\n", column), "no error");
  column.largest = std::numeric_limits<float>::max();
  EXPECT_THAT(refusal("1,2\n1,-1e308\n", column), AllOf(HasSubstr("line 3"), HasSubstr("float64")));
}

}  // namespace
}  // namespace detente::data
