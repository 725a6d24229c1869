// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/propose.h>
#include <detente/data/split.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace detente::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = ColumnSurvey::Kind;

Table parsed(const std::string& text) { return Table::parse(text, "t.parsed", TableFormat::kCsv); }

std::string error_of(const std::string& text, const std::vector<std::string>& targets = {}) {
  try {
    propose_recipe(parsed(text), targets);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::vector<std::string> names_of(const std::vector<ProposedColumn>& columns) {
  std::vector<std::string> names;
  for (const ProposedColumn& column : columns) names.push_back(column.name);
  return names;
}

TEST(Survey, TellsNumbersDatesAndWords) {
  const Table table = parsed(
      "n,d,w,e,m,inf\n1,2020-01-01,a,?,1.5,inf\n2.0,2020-01-02,a,,oh,2\n,,b,NA,2,3\n02,2020-01-04,?"
      ",null,3,4\n");
  const auto columns = survey_columns(table);
  EXPECT_EQ(columns[0].kind, Kind::kNumber);
  EXPECT_EQ(columns[0].missing, 1U);
  EXPECT_EQ(columns[0].distinct, 2U);
  EXPECT_TRUE(columns[0].whole);
  EXPECT_EQ(columns[0].counts.at("2"), 2U);
  EXPECT_EQ(columns[1].kind, Kind::kDate);
  EXPECT_EQ(columns[1].high - columns[1].low, 3);
  EXPECT_EQ(columns[2].kind, Kind::kWords);
  EXPECT_EQ(columns[2].distinct, 2U);
  EXPECT_EQ(columns[3].kind, Kind::kEmpty);
  EXPECT_EQ(columns[4].kind, Kind::kWords);
  EXPECT_EQ(columns[4].first_word, 1U);
  EXPECT_EQ(columns[5].infinite, 1U);
  EXPECT_EQ(columns[5].numbers, 3U);
}

TEST(Survey, SeesWhetherNumbersCount) {
  const auto columns = survey_columns(parsed("a,b,c,d\n1,9,1,1\n2,8,1,\n5,7,2,3\n"));
  EXPECT_TRUE(columns[0].increasing);
  EXPECT_TRUE(columns[1].decreasing);
  EXPECT_FALSE(columns[2].increasing);
  EXPECT_FALSE(columns[3].increasing);
}

// Rows of everything a table may hold, with `y` at the end.
std::string rows_of_all(int count) {
  Rng rng(5);
  std::string text = "row,customer_id,name,when,colour,amount,grade,always,nothing,copy,y\n";
  for (int i = 0; i < count; ++i) {
    const double y = std::round(100 * rng.normal()) / 100;
    text += fmt::format("{},c{},person {},2020-02-{:02},{},{},{},k,,{},{}\n",
                        10 * i,
                        i % 20,
                        i,
                        1 + i % 28,
                        i % 3 == 0 ? "red" : "blue",
                        rng.normal(),
                        rng.below(5),
                        2 * y,
                        y);
  }
  return text;
}

TEST(Propose, LeavesOutWhatIsNoInput) {
  const RecipeProposal proposal = propose_recipe(parsed(rows_of_all(300)), {});
  ASSERT_EQ(proposal.tasks.size(), 1U);
  EXPECT_EQ(proposal.tasks[0].column, "y");
  EXPECT_EQ(proposal.tasks[0].kind, TaskKind::kRegression);
  EXPECT_THAT(names_of(proposal.ignored),
              ElementsAre("row", "customer_id", "name", "always", "nothing", "copy"));
  EXPECT_EQ(proposal.inputs, 4U);
  EXPECT_THAT(proposal.categories, ElementsAre("grade"));
  EXPECT_EQ(proposal.group, "customer_id");
  EXPECT_EQ(proposal.time, "when");
}

TEST(Propose, MixedColumnsAreCategoriesWhateverTheSplit) {
  std::string text = "mixed,words,y\n";
  for (int i = 0; i < 60; ++i) {
    text +=
        fmt::format("{},{},{}\n", i == 33 ? "oh" : std::to_string(i % 4), i % 2 ? "a" : "b", i % 7);
  }
  const RecipeProposal proposal = propose_recipe(parsed(text), {});
  EXPECT_THAT(proposal.categories, ElementsAre("mixed"));
  EXPECT_THAT(names_of(proposal.remarks), ElementsAre("mixed"));
}

TEST(Propose, FindsTargetsByName) {
  const Table table = parsed(
      "a,target:one,y2,year,Label,classify\n1,0.5,1,2000,cat,1\n2,1.5,0,2001,dog,2\n3,2.5,1,"
      "2002,cat,3\n"
      "4,7,1,2003,dog,3\n");
  const RecipeProposal proposal = propose_recipe(table, {});
  ASSERT_EQ(proposal.tasks.size(), 3U);
  EXPECT_EQ(proposal.tasks[0].name, "one");
  EXPECT_EQ(proposal.tasks[1].kind, TaskKind::kBinary);
  EXPECT_EQ(proposal.tasks[2].kind, TaskKind::kClasses);
  EXPECT_THAT(proposal.tasks[2].class_names, ElementsAre("cat", "dog"));
  // The others of that look are no inputs when one is named.
  const RecipeProposal named = propose_recipe(table, {"y2"});
  EXPECT_EQ(named.tasks.size(), 1U);
  EXPECT_THAT(names_of(named.ignored), ElementsAre("target:one", "Label"));
}

TEST(Propose, ChoosesTheKindByTheCells) {
  const RecipeProposal proposal = propose_recipe(
      parsed("x,y1,y2,y3,class,y5\n1,0,-1,1,0,no\n2,1,1,2,1,yes\n3,0,1,3,2,no\n4,1,-1,"
             "4,0,no\n5,,1,5,1,yes\n"
             "7,1,1,1,2,?\n"),
      {});
  ASSERT_EQ(proposal.tasks.size(), 5U);
  EXPECT_EQ(proposal.tasks[0].kind, TaskKind::kBinary);
  EXPECT_FALSE(proposal.tasks[0].threshold);
  EXPECT_EQ(proposal.tasks[1].threshold, 1.0);
  EXPECT_EQ(proposal.tasks[2].range, (std::pair<double, double>(1, 5)));
  EXPECT_EQ(proposal.tasks[3].kind, TaskKind::kClasses);
  EXPECT_EQ(proposal.tasks[3].classes, 3);
  EXPECT_THAT(proposal.tasks[4].class_names, ElementsAre("no", "yes"));
}

ProposedTask task_of(const std::string& column, const std::vector<std::string>& cells) {
  std::string text = "x," + column + "\n";
  double x = 0.5;
  for (const auto& cell : cells) text += fmt::format("{},\"{}\"\n", x *= -1.5, cell);
  return propose_recipe(parsed(text), {column}).tasks.at(0);
}

TEST(Propose, FindsStepsOfAScale) {
  const auto words =
      task_of("risk", {"low", "Very_High", "medium", "low", "Very_High", "medium", "low", "low"});
  EXPECT_EQ(words.kind, TaskKind::kOrdinal);
  EXPECT_THAT(words.class_names, ElementsAre("low", "medium", "Very_High"));
  EXPECT_THAT(task_of("size", {"M", "S", "XL", "M", "S", "XL", "L", "L"}).class_names,
              ElementsAre("S", "M", "L", "XL"));
  // Two words that are one step, a word of no scale, two words: names.
  for (const auto& cells :
       std::vector<std::vector<std::string>>{{"low", "Low", "high", "low", "Low", "high"},
                                             {"low", "high", "green", "low", "high", "green"},
                                             {"low", "high", "low", "high"}}) {
    EXPECT_EQ(task_of("y", cells).kind, TaskKind::kClasses);
  }
  const auto stars = task_of("stars", {"1", "5", "2", "10", "1", "5", "2", "10"});
  EXPECT_EQ(stars.kind, TaskKind::kOrdinal);
  EXPECT_THAT(stars.class_names, ElementsAre("1", "2", "5", "10"));
  // The cells would have to be spelled like the names.
  EXPECT_EQ(task_of("stars", {"1.0", "5", "2", "1", "5", "2"}).kind, TaskKind::kRegression);
  EXPECT_EQ(task_of("count", {"1", "5", "2", "1", "5", "2"}).kind, TaskKind::kRegression);
}

TEST(Propose, FindsSeveralLabelsInACell) {
  const auto task =
      task_of("genre", {"drama|war", "war", "drama | comedy", "comedy", "comedy|war", "", "drama"});
  EXPECT_EQ(task.kind, TaskKind::kLabels);
  EXPECT_EQ(task.separator, '|');
  EXPECT_THAT(task.class_names, ElementsAre("comedy", "drama", "war"));
  // Places with a comma in their names are names.
  EXPECT_EQ(
      task_of("city", {"Bonn, DE", "Lyon, FR", "Rome, IT", "Bonn, DE", "Lyon, FR", "Rome, IT"})
          .kind,
      TaskKind::kClasses);
  // More combinations than there may be classes.
  std::vector<std::string> cells;
  for (int row = 0; row < 400; ++row) {
    std::string cell;
    for (int bit = 0; bit < 9; ++bit) {
      if (((row * 7 + 1) >> bit & 1) != 0)
        cell += (cell.empty() ? "" : ";") + fmt::format("t{}", bit);
    }
    cells.push_back(cell);
  }
  EXPECT_EQ(task_of("tags", cells).class_names.size(), 9U);
}

TEST(Propose, TakesTheLastColumnThatCanBeOne) {
  const RecipeProposal proposal = propose_recipe(
      parsed("a,price,word,day\n1,2.5,x,2020-01-01\n2,3.5,y,2020-01-02\n3,1.5,z,2020-01-03\n"), {});
  ASSERT_EQ(proposal.tasks.size(), 1U);
  EXPECT_EQ(proposal.tasks[0].column, "price");
  EXPECT_THAT(proposal.why_targets, HasSubstr("last"));
}

TEST(Propose, RefusesWhatNothingCanBeLearntFrom) {
  EXPECT_THAT(error_of("a,y\n1,2\n"), HasSubstr("at least 2"));
  EXPECT_THAT(error_of("y\n1\n2\n3\n"), HasSubstr("one column"));
  EXPECT_THAT(error_of("k,y\n1,1\n1,2\n1,4\n"), HasSubstr("no column to predict 'y' from"));
  EXPECT_THAT(error_of("a,b\n1,1\n1,1\n"), HasSubstr("every row holds the same"));
  EXPECT_THAT(error_of("a,k,y\n1,1,2\n2,1,3\n", {"k"}), HasSubstr("every row holds the same"));
  EXPECT_THAT(error_of("a,b\n1,1\n2,3\n", {"c"}), HasSubstr("no column 'c'"));
  EXPECT_THAT(error_of("a,b\n1,1\n2,3\n", {"b", "b"}), HasSubstr("twice"));
  EXPECT_THAT(error_of("a,y\nu,1\nv,0\nw,1\n"), HasSubstr("no split"));
  EXPECT_THAT(error_of("a,y1,y2\n1,1,\n2,0,\n3,,1\n4,,2\n"), HasSubstr("no split"));
}

TEST(Propose, NamesOfTasksAreUsableAndDiffer) {
  EXPECT_EQ(task_name_of("target:NR-AR"), "NR-AR");
  EXPECT_EQ(task_name_of("target:"), "target:");
  EXPECT_EQ(task_name_of("a b.c|d/e"), "a_b_c_d_e");
  EXPECT_EQ(task_name_of("점수"), "점수");
  const RecipeProposal proposal = propose_recipe(
      parsed("x,y a,y.a,y_a,y_a_probability\n1,1,2,3,1\n2,2,3,5,0\n3,7,2,1,1\n4,2,2,9,0\n"), {});
  std::set<std::string> names;
  for (const ProposedTask& task : proposal.tasks) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    EXPECT_TRUE(names.insert(task.name + "_probability").second) << task.name;
  }
}

TEST(Propose, GivesEveryPartATargetOfEachTask) {
  std::string text = "x,y1,y2\n";
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("{},{},{}\n", i % 7, i % 20 == 3 ? "1.5" : i % 20 == 5 ? "2.5" : "", i % 5);
  }
  const Table table = parsed(text);
  const RecipeProposal proposal = propose_recipe(table, {});
  const Split split{.dev = proposal.dev, .test = proposal.test, .seed = proposal.split_seed};
  for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
    std::size_t labelled = 0;
    for (const std::size_t row : split.rows(part, table.rows())) {
      labelled += is_missing(table.cell(row, 1)) ? 0 : 1;
    }
    EXPECT_GT(labelled, 0U) << name_of(part);
  }
}

TEST(Propose, IsTheSameEveryTime) {
  const Table table = parsed(rows_of_all(200));
  const RecipeProposal a = propose_recipe(table, {});
  const RecipeProposal b = propose_recipe(table, {});
  EXPECT_EQ(names_of(a.ignored), names_of(b.ignored));
  EXPECT_EQ(a.split_seed, b.split_seed);
  EXPECT_EQ(a.epochs, b.epochs);
}

}  // namespace
}  // namespace detente::data
