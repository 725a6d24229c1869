// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/split.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Part kParts[] = {Part::kTrain, Part::kDev, Part::kTest};

// Rows with a group, a moment, a date and a part each.
Table rows_table(std::size_t count, std::uint64_t seed, std::size_t groups) {
  Rng rng(seed);
  std::string text = "group,moment,date,part,x\n";
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t group = rng.below(groups) * rng.below(groups) / groups;  // some are large
    static const char* kWords[] = {"train", "TRAIN", " Val ", "dev", "validation", "valid", "test"};
    text += fmt::format("g{},{},2020-{:02}-{:02},{},{}\n",
                        group,
                        rng.below(count),
                        1 + rng.below(12),
                        1 + rng.below(28),
                        i < 7 ? kWords[i] : kWords[rng.below(7)],
                        i);
  }
  return Table::parse(text, "t.csv", TableFormat::kCsv);
}

// Every law that holds for all ways to split: each row in one part, ascending, the same twice.
void expect_partition(const Split& split, const Table& table) {
  RowList all;
  for (const Part part : kParts) {
    const RowList rows = split.rows(part, table);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(rows, split.rows(part, table));
    EXPECT_EQ(!rows.empty(), split.has(part)) << name_of(part);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  std::sort(all.begin(), all.end());
  RowList expected(table.rows());
  std::iota(expected.begin(), expected.end(), std::size_t{0});
  EXPECT_EQ(all, expected);
}

std::set<std::string> words_of(const Split& split,
                               Part part,
                               const Table& table,
                               std::size_t column) {
  std::set<std::string> words;
  for (const std::size_t row : split.rows(part, table)) words.emplace(table.cell(row, column));
  return words;
}

TEST(Split, PartsHoldEveryRowOnce) {
  for (const std::size_t count : {7U, 10U, 97U, 1000U}) {
    const Split split{.dev = 0.1, .test = 0.25, .seed = 4};
    const Table table = rows_table(count, 1, 5);
    expect_partition(split, table);
    EXPECT_EQ(split.rows(Part::kDev, count).size(),
              std::max<std::size_t>(1, std::llround(0.1 * static_cast<double>(count))));
  }
}

// Written down from the version before there was any other way: recipes of then have these parts.
TEST(Split, SharesAreThoseOfEarlierVersions) {
  const Split split{.dev = 0.2, .test = 0.1, .seed = 3};
  EXPECT_THAT(split.rows(Part::kTest, 20), ElementsAre(1, 5));
  EXPECT_THAT(split.rows(Part::kDev, 20), ElementsAre(8, 13, 17, 19));
}

TEST(Split, DependsOnTheSeedAlone) {
  const Split split{.dev = 0.2, .test = 0, .seed = 1};
  Split other = split;
  EXPECT_EQ(split.rows(Part::kDev, 50), other.rows(Part::kDev, 50));
  other.seed = 2;
  EXPECT_NE(split.rows(Part::kDev, 50), other.rows(Part::kDev, 50));
}

TEST(Split, RefusesToLeaveNothingForTraining) {
  const Split split{.dev = 0.1, .test = 0.1};
  EXPECT_EQ(error_of([&] { split.rows(Part::kTrain, 2); }).code(), ErrorCode::kData);
  EXPECT_EQ(split.rows(Part::kTrain, 3).size(), 1U);
}

TEST(SplitByGroup, BreaksNoGroup) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Table table = rows_table(200, seed, 40);
    for (const double test : {0.0, 0.2}) {
      const Split split{
          .dev = 0.15, .test = test, .seed = static_cast<std::int64_t>(seed), .group = "group"};
      expect_partition(split, table);
      std::map<std::string, int> parts;
      for (const Part part : kParts) {
        for (const std::string& word : words_of(split, part, table, 0)) ++parts[word];
      }
      for (const auto& [word, count] : parts) EXPECT_EQ(count, 1) << word;
    }
  }
}

TEST(SplitByGroup, MeetsTheSharesWhereGroupsAreSmall) {
  std::string text = "g\n";
  for (int i = 0; i < 1000; ++i) text += fmt::format("g{}\n", i % 100);
  const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
  const Split split{.dev = 0.1, .test = 0.2, .group = "g"};
  EXPECT_EQ(split.rows(Part::kDev, table).size(), 100U);
  EXPECT_EQ(split.rows(Part::kTest, table).size(), 200U);
  Split other = split;
  other.seed = 1;
  EXPECT_NE(split.rows(Part::kDev, table), other.rows(Part::kDev, table));
}

TEST(SplitByGroup, GroupsAreThoseOfTheNamesWhateverTheOrder) {
  std::string forwards = "g\n";
  std::string backwards = "g\n";
  for (int i = 0; i < 60; ++i) {
    forwards += fmt::format("{}\n", i / 3);
    backwards += fmt::format("{}.0\n", (59 - i) / 3);  // numbers by value
  }
  const Split split{.dev = 0.2, .test = 0.2, .group = "g"};
  for (const Part part : kParts) {
    RowList turned = split.rows(part, Table::parse(backwards, "b.csv", TableFormat::kCsv));
    for (std::size_t& row : turned) row = 59 - row;
    std::sort(turned.begin(), turned.end());
    EXPECT_EQ(split.rows(part, Table::parse(forwards, "f.csv", TableFormat::kCsv)), turned);
  }
}

TEST(SplitByGroup, HugeGroupsGoToTraining) {
  std::string text = "g\n";
  for (int i = 0; i < 100; ++i) text += i < 90 ? "huge\n" : fmt::format("s{}\n", i);
  const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
  for (std::int64_t seed = 0; seed < 10; ++seed) {
    const Split split{.dev = 0.05, .test = 0.03, .seed = seed, .group = "g"};
    EXPECT_EQ(split.rows(Part::kDev, table).size(), 5U);
    EXPECT_EQ(split.rows(Part::kTest, table).size(), 3U);
  }
}

TEST(SplitByGroup, SaysWhatIsWrong) {
  const Table few = Table::parse("g\na\na\na\nb\n", "t.csv", TableFormat::kCsv);
  const Split split{.dev = 0.2, .test = 0.2, .group = "g"};
  EXPECT_THAT(error_of([&] { split.rows(Part::kTrain, few); }).what(), HasSubstr("2 groups"));
  const Table gap = Table::parse("g,x\na,1\n,1\nb,1\nc,2\n", "t.csv", TableFormat::kCsv);
  EXPECT_THAT(error_of([&] { split.rows(Part::kTrain, gap); }).what(), HasSubstr("line 3"));
  const Table other = Table::parse("h\na\n", "t.csv", TableFormat::kCsv);
  EXPECT_THAT(error_of([&] { split.rows(Part::kTrain, other); }).what(),
              HasSubstr("no column 'g'"));
}

TEST(SplitByTime, LaterRowsTestEarlierOnes) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Table table = rows_table(300, seed, 5);
    for (const char* column : {"moment", "date"}) {
      const Split split{.dev = 0.2, .test = 0.1, .time = column};
      expect_partition(split, table);
      const std::size_t index = table.column_index(column);
      // Of equal length, dates are ordered like their text.
      const auto when = [&](std::size_t row) {
        const std::string cell(table.cell(row, index));
        return std::string(10 - cell.size(), '0') + cell;
      };
      std::string before;
      for (const Part part : kParts) {
        std::string last;
        for (const std::size_t row : split.rows(part, table)) {
          EXPECT_LT(before, when(row));
          last = std::max(last, when(row));
        }
        before = last;
      }
    }
  }
}

TEST(SplitByTime, MeetsTheSharesWhereMomentsDiffer) {
  std::string text = "t\n";
  for (int i = 0; i < 100; ++i) text += fmt::format("{}\n", (i * 37) % 100);
  const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
  const Split split{.dev = 0.2, .test = 0.1, .time = "t"};
  EXPECT_EQ(split.rows(Part::kTest, table).size(), 10U);
  EXPECT_EQ(split.rows(Part::kDev, table).size(), 20U);
  for (const std::size_t row : split.rows(Part::kTest, table)) {
    EXPECT_GE(table.numeric_column("t")[row], 90);
  }
}

TEST(SplitByTime, SaysWhatIsWrong) {
  const Split split{.dev = 0.2, .test = 0.2, .time = "t"};
  const auto error = [&](const std::string& text) {
    const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
    return std::string(error_of([&] {
                         for (const Part part : kParts) split.rows(part, table);
                       }).what());
  };
  EXPECT_THAT(error("t\n2020-01-01\n2020-01-02\n7\n"), HasSubstr("line 4"));
  EXPECT_THAT(error("t\n1\nsoon\n7\n"), HasSubstr("no finite number"));
  EXPECT_THAT(error("t,x\n1,1\n,1\n7,1\n"), HasSubstr("line 3"));
  EXPECT_THAT(error("t\n1\n1\n1\n1\n"), HasSubstr("one moment"));
}

TEST(SplitByColumn, CellsDecide) {
  const Table table = rows_table(100, 3, 5);
  const Split split{.column = "part"};
  expect_partition(split, table);
  for (const Part part : kParts) EXPECT_TRUE(split.names(part, table));
  EXPECT_EQ(words_of(split, Part::kTrain, table, 3), (std::set<std::string>{"train", "TRAIN"}));
  EXPECT_EQ(words_of(split, Part::kDev, table, 3),
            (std::set<std::string>{" Val ", "dev", "valid", "validation"}));
}

TEST(SplitByColumn, SaysWhatIsWrong) {
  const Split split{.column = "s"};
  const auto error = [&](const std::string& text, Part part) {
    const Table table = Table::parse(text, "t.csv", TableFormat::kCsv);
    return std::string(error_of([&] { split.rows(part, table); }).what());
  };
  EXPECT_THAT(error("s,x\ntrain,1\n,2\n", Part::kTrain), HasSubstr("line 3"));
  EXPECT_THAT(error("s,x\ntrain,1\nholdout,2\n", Part::kTrain), HasSubstr("'holdout'"));
  EXPECT_THAT(error("s,x\ntrain,1\ntest,2\n", Part::kDev), HasSubstr("for dev"));
}

TEST(SplitInFolds, EachRowIsInOneFold) {
  for (const char* group : {"", "group"}) {
    for (const double test : {0.0, 0.2}) {
      const Table table = rows_table(211, 9, 60);
      std::vector<int> seen(table.rows(), 0);
      RowList held_out;
      std::size_t smallest = table.rows();
      std::size_t largest = 0;
      for (std::int64_t fold = 0; fold < 5; ++fold) {
        const Split split{.test = test, .seed = 2, .group = group, .folds = 5, .fold = fold};
        split.validate("here");
        expect_partition(split, table);
        const RowList dev = split.rows(Part::kDev, table);
        for (const std::size_t row : dev) ++seen[row];
        smallest = std::min(smallest, dev.size());
        largest = std::max(largest, dev.size());
        // The test rows are the same ones in every fold.
        if (fold > 0) {
          EXPECT_EQ(split.rows(Part::kTest, table), held_out);
        }
        held_out = split.rows(Part::kTest, table);
      }
      for (const std::size_t row : held_out) ++seen[row];
      for (const int count : seen) EXPECT_EQ(count, 1);
      if (*group == '\0') {
        EXPECT_LE(largest - smallest, 1U);
      }
    }
  }
}

TEST(SplitInFolds, TestRowsAreThoseOfTheShares) {
  const Split shares{.dev = 0.1, .test = 0.3, .seed = 5};
  const Split folds{.test = 0.3, .seed = 5, .folds = 4};
  EXPECT_EQ(shares.rows(Part::kTest, 100), folds.rows(Part::kTest, 100));
}

TEST(SplitInFolds, RefusesMoreFoldsThanRowsOrGroups) {
  const Split split{.folds = 5};
  EXPECT_EQ(error_of([&] { split.rows(Part::kDev, 4); }).code(), ErrorCode::kData);
  const Split groups{.group = "g", .folds = 3};
  const Table table = Table::parse("g\na\nb\nb\na\n", "t.csv", TableFormat::kCsv);
  EXPECT_EQ(error_of([&] { groups.rows(Part::kDev, table); }).code(), ErrorCode::kData);
}

TEST(SplitRules, RefuseWhatContradictsItself) {
  const auto refused = [](const Split& split) {
    const Error error = error_of([&] { split.validate("r.yaml"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("r.yaml"));
    return std::string(error.what());
  };
  EXPECT_THAT(refused({.dev = 0.1, .column = "s"}), HasSubstr("a column and shares"));
  EXPECT_THAT(refused({.group = "g", .column = "s"}), HasSubstr("a column and a group"));
  EXPECT_THAT(refused({.time = "t", .column = "s"}), HasSubstr("a column and a time"));
  EXPECT_THAT(refused({.column = "s", .folds = 3}), HasSubstr("a column and folds"));
  EXPECT_THAT(refused({.dev = 0.1, .group = "g", .time = "t"}), HasSubstr("a time and a group"));
  EXPECT_THAT(refused({.test = 0.1, .time = "t", .folds = 3}), HasSubstr("a time and folds"));
  EXPECT_THAT(refused({.dev = 0.1, .folds = 3}), HasSubstr("dev and folds"));
  EXPECT_THAT(refused({.folds = 1}), HasSubstr("1 fold"));
  EXPECT_THAT(refused({.folds = 3, .fold = 3}), HasSubstr("0 to 2"));
  EXPECT_THAT(refused({.dev = 0.1, .fold = 2}), HasSubstr("no folds"));
  EXPECT_THAT(refused({.group = "g"}), HasSubstr("no shares"));
  EXPECT_THAT(refused({.time = "t"}), HasSubstr("no shares"));
  EXPECT_THAT(refused({.dev = 0.5, .test = 0.5}), HasSubstr("less than 1"));
  Split{}.validate("here");
  Split{.dev = 0.1, .test = 0.1, .group = "g"}.validate("here");
  Split{.test = 0.1, .time = "t"}.validate("here");
}

}  // namespace
}  // namespace detente::data
