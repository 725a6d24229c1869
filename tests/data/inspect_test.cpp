// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/data/inspect.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace detente::data {
namespace {

using ::testing::HasSubstr;

TEST(Summarise, AgreesWithTheDefinition) {
  Rng rng(3);
  for (const std::size_t count : {1U, 2U, 7U, 100U}) {
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(rng.normal());
    values.push_back(kNan);
    const NumberSummary summary = summarise(values);
    values.pop_back();
    std::sort(values.begin(), values.end());
    EXPECT_EQ(summary.count, count);
    EXPECT_EQ(summary.min, values.front());
    EXPECT_EQ(summary.max, values.back());
    EXPECT_NEAR(summary.median, (values[(count - 1) / 2] + values[count / 2]) / 2, 1e-15);
    std::vector<double> distances;
    for (const double value : values) distances.push_back(std::abs(value - summary.median));
    std::sort(distances.begin(), distances.end());
    EXPECT_NEAR(summary.robust_deviation,
                1.4826 * (distances[(count - 1) / 2] + distances[count / 2]) / 2,
                1e-14);
    EXPECT_EQ(summary.outliers, 0U);
  }
}

TEST(Summarise, FindsOutliersAndTheFarthest) {
  std::vector<double> values = {1, 2, 3, 4, 5, 1000, kNan, -5000, 3};
  const NumberSummary summary = summarise(values);
  EXPECT_EQ(summary.outliers, 2U);
  EXPECT_EQ(summary.outlier_row, 7U);
  // Shifted and scaled alike.
  for (double& value : values) value = -1e-9 * value + 7;
  EXPECT_EQ(summarise(values).outliers, 2U);
}

TEST(Summarise, HasNoOutliersWhereMostAreEqual) {
  const std::vector<double> values = {0, 0, 0, 0, 0, 9999};
  EXPECT_EQ(summarise(values).robust_deviation, 0);
  EXPECT_EQ(summarise(values).outliers, 0U);
}

TEST(Summarise, SurvivesNothingAndHugeNumbers) {
  EXPECT_EQ(summarise({}).count, 0U);
  EXPECT_TRUE(std::isnan(summarise({}).median));
  const std::vector<double> huge = {-1.7e308, 1.7e308, 1.6e308, -1.6e308, 0};
  const NumberSummary summary = summarise(huge);
  EXPECT_EQ(summary.median, 0);
  EXPECT_EQ(summary.outliers, 0U);
}

// A table from columns of words.
struct Columns {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> cells;

  void add(const std::string& name, std::vector<std::string> column) {
    names.push_back(name);
    cells.push_back(std::move(column));
  }
  Table table(const std::string& source = "t.csv") const {
    std::string text;
    for (std::size_t j = 0; j < names.size(); ++j) text += (j > 0 ? "," : "") + names[j];
    for (std::size_t i = 0; i < cells[0].size(); ++i) {
      text += "\n";
      for (std::size_t j = 0; j < names.size(); ++j) text += (j > 0 ? "," : "") + cells[j][i];
    }
    return Table::parse(text + "\n", source, TableFormat::kCsv);
  }
};

InspectedPart part_of(Part part, const Table& table, const std::vector<TargetColumn>& columns) {
  std::vector<std::string> warnings;
  InspectedPart result{part, table, {}};
  for (const TargetColumn& column : columns) {
    result.targets.push_back(read_target(table, column, table.rows(), warnings));
  }
  return result;
}

DataFindings inspect_table(const Table& table,
                           const std::vector<TargetColumn>& targets,
                           const std::vector<InputColumn>& inputs) {
  const std::vector<InspectedPart> parts = {part_of(Part::kTrain, table, targets)};
  return inspect_parts(parts, targets, inputs);
}

std::set<std::string> leaks_of(const DataFindings& found) {
  std::set<std::string> leaks;
  for (const GivenAway& leak : found.given_away) {
    leaks.insert(leak.input + " " + leak.how + " " + leak.task);
  }
  return leaks;
}

TEST(InspectLeaks, AreFoundAndNothingElse) {
  Rng rng(1);
  Columns columns;
  std::vector<std::string> y, label, scaled, rounded, same, word, colour, noise, row, coarse, rare;
  for (int i = 0; i < 400; ++i) {
    const double value = std::round(1000 * rng.normal()) / 10;
    const auto kind = static_cast<int>(rng.below(3));
    y.push_back(i % 7 == 0 ? "" : fmt::format("{}", value));
    label.push_back(std::to_string(kind));
    same.push_back(fmt::format("{:+.3f}", value));
    scaled.push_back(fmt::format("{}", 32 - 1.8 * value));
    rounded.push_back(fmt::format("{:.1f}", 32 + 1.8 * value));
    word.push_back("w" + std::to_string(kind));
    colour.push_back("c" + std::to_string(3 * rng.below(10) + static_cast<std::size_t>(kind)));
    noise.push_back(fmt::format("{}", value + 0.5 * rng.normal()));
    row.push_back("id" + std::to_string(i));
    coarse.push_back(std::to_string(rng.below(2)));
    rare.push_back(i == 0 ? "1" : "0");
  }
  columns.add("y", y);
  columns.add("label", label);
  columns.add("rare_label", rare);
  columns.add("same", same);
  columns.add("scaled", scaled);
  columns.add("rounded", rounded);
  columns.add("word", word);
  columns.add("colour", colour);
  columns.add("noise", noise);
  columns.add("row", row);
  columns.add("coarse", coarse);
  columns.add("singular", rare);
  const DataFindings found =
      inspect_table(columns.table(),
                    {{.task = "y", .column = "y"},
                     {.task = "label", .column = "label", .kind = TaskKind::kClasses},
                     {.task = "rare", .column = "rare_label", .kind = TaskKind::kBinary}},
                    {{"same", "number"},
                     {"scaled", "number"},
                     {"rounded", "number"},
                     {"word", "category"},
                     {"colour", "category"},
                     {"noise", "number"},
                     {"row", "category"},
                     {"coarse", "category"}});
  EXPECT_EQ(leaks_of(found),
            (std::set<std::string>{"same equals y",
                                   "scaled correlates y",
                                   "rounded correlates y",
                                   "word one to one label",
                                   "colour determines label"}));
  std::size_t warned = 0;
  for (const DataWarning& warning : found.warnings) warned += warning.about == "leak" ? 1 : 0;
  EXPECT_EQ(warned, 5U);
}

TEST(InspectLeaks, NeedMoreThanChance) {
  // Four rows in two groups, and one positive among many: nothing that chance would not do.
  Columns columns;
  columns.add("t", {"0", "0", "1", "1"});
  columns.add("x", {"a", "a", "b", "b"});
  EXPECT_TRUE(inspect_table(columns.table(),
                            {{.task = "t", .column = "t", .kind = TaskKind::kBinary}},
                            {{"x", "category"}})
                  .given_away.empty());
}

// By brute force: rows of small tables, compared cell by cell.
TEST(InspectDuplicates, AgreeWithBruteForce) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const std::vector<TargetColumn> targets = {{.task = "t", .column = "t"}};
    std::vector<InspectedPart> parts;
    std::vector<std::vector<std::string>> keys;
    std::vector<std::vector<std::string>> labels;
    for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
      Columns columns;
      std::vector<std::string> a, b, t, id, key;
      for (int i = 0; i < 30; ++i) {
        const std::uint64_t word = rng.below(5);
        a.push_back(word == 0 ? (i % 2 == 0 ? "?" : "") : "w" + std::to_string(word));
        b.push_back(std::to_string(rng.below(6)));
        t.push_back(std::to_string(rng.below(2)));
        id.push_back(std::to_string(i));
        key.push_back((word == 0 ? "" : a.back()) + "|" + b.back());
      }
      columns.add("a", a);
      columns.add("b", b);
      columns.add("t", t);
      columns.add("id", id);
      parts.push_back(part_of(part, columns.table(), targets));
      keys.push_back(key);
      labels.push_back(t);
    }
    const DataFindings found = inspect_parts(
        parts,
        targets,
        std::vector<InputColumn>{{"a", "category"}, {"b", "number"}, {"id", "left out"}});
    std::size_t disagree = 0;
    for (std::size_t p = 0; p < 3; ++p) {
      std::map<std::string, std::size_t> first;
      std::size_t repeats = 0;
      for (std::size_t i = 0; i < 30; ++i) {
        const auto [known, fresh] = first.emplace(keys[p][i], i);
        if (fresh) continue;
        ++repeats;
        if (p == 0 && labels[0][known->second] != labels[0][i]) ++disagree;
      }
      EXPECT_EQ(found.duplicates.within[p], repeats);
    }
    const auto shared = [&](std::size_t p, std::size_t q) {
      return static_cast<std::size_t>(
          std::count_if(keys[p].begin(), keys[p].end(), [&](const std::string& key) {
            return std::find(keys[q].begin(), keys[q].end(), key) != keys[q].end();
          }));
    };
    EXPECT_EQ(found.duplicates.disagree, disagree);
    EXPECT_EQ(found.duplicates.dev_in_train, shared(1, 0));
    EXPECT_EQ(found.duplicates.test_in_train, shared(2, 0));
    EXPECT_EQ(found.duplicates.test_in_dev, shared(2, 1));
  }
}

TEST(InspectTargets, CountLabelsClassesAndPairs) {
  Columns columns;
  columns.add("a", {"1", "0", "", "1", ""});
  columns.add("b", {"", "", "3", "4.5", ""});
  columns.add("c", {"no", "no", "no", "no", "~"});
  columns.add("x", {"1", "2", "3", "4", "5"});
  const DataFindings found = inspect_table(columns.table(),
                                           {{.task = "a", .column = "a", .kind = TaskKind::kBinary},
                                            {.task = "b", .column = "b"},
                                            {.task = "c",
                                             .column = "c",
                                             .kind = TaskKind::kClasses,
                                             .class_names = {"~", "no", "null"}}},
                                           {{"x", "number"}});
  ASSERT_EQ(found.tasks.size(), 3U);
  EXPECT_EQ(found.tasks[0].parts[0].labelled, 3U);
  EXPECT_EQ(found.tasks[0].parts[0].counts, (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(found.tasks[1].parts[0].numbers.mean, 3.75);
  EXPECT_EQ(found.tasks[2].parts[0].counts, (std::vector<std::size_t>{1, 4, 0}));
  ASSERT_EQ(found.pairs.size(), 3U);
  EXPECT_EQ(found.pairs[0].rows, 1U);
  EXPECT_EQ(found.pairs[0].first + found.pairs[0].second, "ab");
  bool absent = false;
  for (const DataWarning& warning : found.warnings) {
    absent = absent || warning.text.find("no training row is of class null") != std::string::npos;
  }
  EXPECT_TRUE(absent);
  // JSON says the same, and has no NaN.
  const Json json = Json::parse(found.to_json().dump());
  EXPECT_EQ(json["tasks"][2]["train"]["classes"][1]["rows"], 4);
  EXPECT_EQ(json["pairs"].size(), 3U);
}

TEST(InspectTargets, SayWhenTasksNeverMeet) {
  Columns columns;
  columns.add("a", {"1", "", "2", ""});
  columns.add("b", {"", "3", "", "4"});
  columns.add("x", {"1", "2", "3", "4"});
  const DataFindings found =
      inspect_table(columns.table(),
                    {{.task = "a", .column = "a"}, {.task = "b", .column = "b"}},
                    {{"x", "number"}});
  ASSERT_FALSE(found.warnings.empty());
  EXPECT_THAT(found.warnings[0].text, HasSubstr("both a and b"));
}

TEST(InspectParts, RefusesRowsThatAreNotForTraining) {
  EXPECT_THROW(inspect_parts({}, {}, {}), Error);
}

class InspectDataTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }
  test::TempDir folder_;
};

TEST_F(InspectDataTest, ReadsTheSplitOfATable) {
  std::string text = "word,number,day,always,y\n";
  for (int i = 0; i < 200; ++i) {
    text +=
        fmt::format("w{},{},2020-01-{:02},k,{}\n", i % 4, i == 7 ? 1000000 : i, 1 + i % 28, i % 9);
  }
  SourceFiles files;
  files.train = write("t.csv", text);
  files.split = {.dev = 0.25, .test = 0.1};
  const DataFindings found =
      inspect_data(*make_source("table"), files, {{.task = "y", .column = "y"}});
  EXPECT_EQ(found.kind, "table");
  ASSERT_EQ(found.parts.size(), 3U);
  EXPECT_EQ(found.parts[0].rows + found.parts[1].rows + found.parts[2].rows, 200U);
  ASSERT_EQ(found.inputs.size(), 4U);
  EXPECT_EQ(found.inputs[0].kind, "category");
  EXPECT_EQ(found.inputs[0].distinct, 4U);
  EXPECT_EQ(found.inputs[2].kind, "date");
  EXPECT_EQ(found.inputs[3].kind, "left out");
  EXPECT_EQ(found.warnings[0].about, "reading");  // the constant column
}

TEST_F(InspectDataTest, ReadsSentences) {
  SourceFiles files;
  files.train = write("t.tsv",
                      "sentence1\tsentence2\ty\n하늘 바다\t하늘\t1\n산\t바다 산 산\t\n"
                      "하늘 바다\t하늘\t3\n");
  files.dev = write("d.tsv", "sentence1\tsentence2\ty\n산\t바다 산 산\t2\n");
  const DataFindings found =
      inspect_data(*make_source("pairs"), files, {{.task = "y", .column = "y"}});
  EXPECT_EQ(found.duplicates.within[0], 1U);
  EXPECT_EQ(found.duplicates.disagree, 1U);
  EXPECT_EQ(found.duplicates.dev_in_train, 1U);
  ASSERT_EQ(found.inputs.size(), 2U);
  EXPECT_EQ(found.inputs[0].numbers.max, 5);  // characters, not bytes
  EXPECT_FALSE(found.notes.empty());
}

}  // namespace
}  // namespace detente::data
