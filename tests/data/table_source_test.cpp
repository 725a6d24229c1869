// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/table_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ParseDate, ReadsDaysSince1970) {
  EXPECT_EQ(parse_date("1970-01-01"), 0.0);
  EXPECT_EQ(parse_date("1969-12-31"), -1.0);
  EXPECT_EQ(parse_date("2000-03-01"), 11017.0);
  EXPECT_EQ(parse_date(" 2011/01/02 "), 14976.0);
  EXPECT_EQ(parse_date("1970-01-02T12:00"), 1.5);
  EXPECT_EQ(parse_date("1970-01-02 06:00:00Z"), 1.25);
  EXPECT_DOUBLE_EQ(*parse_date("1970-01-01 00:00:43.2"), 0.0005);
}

TEST(ParseDate, RefusesOthers) {
  for (const char* cell : {"",
                           "2011",
                           "20110101",
                           "2011-13-01",
                           "2011-02-29",
                           "2011-1-1",
                           "11-01-01",
                           "2011-01/01",
                           "2011-01-01x",
                           "2011-01-01 25:00",
                           "2011-01-01 1:00",
                           "one"}) {
    EXPECT_FALSE(parse_date(cell)) << cell;
  }
}

class TableSourceTest : public ::testing::Test {
 protected:
  // Options as a recipe would set them.
  static void set(TableSource& source, const std::string& key, const std::string& value) {
    set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
  }
  SourceInput input(const std::string& train, const std::string& dev = "") {
    SourceInput input;
    write_file_atomic(folder_.path() / "train.csv", train);
    input.files.train = (folder_.path() / "train.csv").string();
    if (!dev.empty()) {
      write_file_atomic(folder_.path() / "dev.csv", dev);
      input.files.dev = (folder_.path() / "dev.csv").string();
    }
    return input;
  }
  static Batch all_rows(const Source& source) {
    std::vector<std::size_t> rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return source.batch(rows, nullptr);
  }
  template <class T>
  static std::vector<T> values(const Source& source, const char* name) {
    const Batch batch = all_rows(source);
    const Array* array = find_array(batch, name);
    return array == nullptr ? std::vector<T>{} : std::get<std::vector<T>>(array->values);
  }
  static std::vector<float> numbers(const Source& source) {
    return values<float>(source, "numbers");
  }
  static std::vector<std::int32_t> ids(const Source& source) {
    return values<std::int32_t>(source, "categories");
  }
  static std::unique_ptr<Source> dev_of(const TableSource& train, SourceInput input) {
    input.part = Part::kDev;
    auto dev = train.fresh();
    dev->read(input, &train);
    return dev;
  }

  test::TempDir folder_;
};

TEST_F(TableSourceTest, StandardisesNumbersOnTheTrainingRows) {
  TableSource train;
  const SourceInput files = input("x,y\n1,3.38e-005\n3,0\n1,1e2\n3,\n", "x,y\n5,0\n-1,NA\n");
  train.read(files, nullptr);
  const auto all = numbers(train);
  EXPECT_EQ(all[0], -1.0F);
  EXPECT_EQ(all[2], 1.0F);
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    sum += all[2 * i + 1];
    squares += all[2 * i + 1] * all[2 * i + 1];
  }
  EXPECT_NEAR(sum, 0, 1e-6);
  EXPECT_NEAR(squares / 3, 1, 1e-6);
  EXPECT_EQ(all[7], 0.0F) << "a missing cell is the mean";
  EXPECT_THAT(values<std::uint8_t>(train, "missing"), ElementsAre(0, 0, 0, 1));
  const auto dev = dev_of(train, files);
  EXPECT_EQ(numbers(*dev)[0], 3.0F);
  EXPECT_EQ(numbers(*dev)[2], -3.0F);
  EXPECT_THAT(values<std::uint8_t>(*dev, "missing"), ElementsAre(0, 1));
}

TEST_F(TableSourceTest, EveryWayToMissACell) {
  TableSource train;
  train.read(input("x,k\n1,a\n,b\nNA,a\nNaN,\n?,b\nnull,?\n2,a\n"), nullptr);
  EXPECT_THAT(values<std::uint8_t>(train, "missing"), ElementsAre(0, 1, 1, 1, 1, 1, 0));
  // "", a, b in order of their bytes after the unknown one; two missing cells make a category.
  EXPECT_THAT(ids(train), ElementsAre(2, 3, 2, 1, 3, 1, 2));
}

TEST_F(TableSourceTest, AMissingCellThatTrainingNeverSawIsTheMean) {
  TableSource train;
  const SourceInput quoted = input("x,same\n1,7\n3,7\n", "x,same\n,7\n?,7\n");
  train.read(quoted, nullptr);
  EXPECT_THAT(numbers(*dev_of(train, quoted)), ElementsAre(0.0F, 0.0F));
  EXPECT_EQ(train.missing_columns(), 0U);
}

TEST_F(TableSourceTest, UnknownAndRareCategoriesShareARow) {
  TableSource train;
  const SourceInput files =
      input("k,same\nb,7\nb,7\na,7\na,7\nrare,7\n", "k,same\na,7\nnew,7\nrare,7\n,7\n");
  train.read(files, nullptr);
  EXPECT_THAT(train.category_counts(), ElementsAre(3));
  EXPECT_THAT(ids(train), ElementsAre(2, 2, 1, 1, 0));
  EXPECT_THAT(ids(*dev_of(train, files)), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(train.warnings(), Contains(HasSubstr("3 words, of which 2")));
}

TEST_F(TableSourceTest, KeepsTheMostFrequentOfManyCategories) {
  TableSource train;
  set(train, "max_categories", "2");
  train.read(input("k\nz\nz\nz\nb\nb\na\na\n"), nullptr);
  EXPECT_THAT(train.columns()[0].categories(), ElementsAre("a", "z"));
}

TEST_F(TableSourceTest, NumbersAreCategoriesWhenAsked) {
  const std::string table = "season,x\n1,0.5\n2,1\n1.0,2\n02,3\n";
  TableSource named;
  set(named, "categories", "[season]");
  named.read(input(table), nullptr);
  EXPECT_THAT(ids(named), ElementsAre(1, 2, 1, 2));
  TableSource few;
  set(few, "few_values", "3");
  few.read(input(table), nullptr);
  EXPECT_THAT(ids(few), ElementsAre(1, 2, 1, 2)) << "x is no whole number";
  TableSource plain;
  plain.read(input(table), nullptr);
  EXPECT_THAT(ids(plain), IsEmpty());
}

TEST_F(TableSourceTest, DatesBecomeNumbers) {
  TableSource train;
  train.read(input("d\n2011-01-01\n2011-01-03\n"), nullptr);
  EXPECT_EQ(train.columns()[0].kind(), TableColumn::Kind::kDate);
  EXPECT_THAT(numbers(train), ElementsAre(-1.0F, 1.0F));
}

TEST_F(TableSourceTest, LeavesOutWhatSaysNothing) {
  TableSource train;
  train.read(input("same,none,id,word,x\n7,,u1,w,1\n7,NA,u2,w,2\n7,?,u3,w,3\n"), nullptr);
  ASSERT_EQ(train.columns().size(), 1U);
  EXPECT_EQ(train.columns()[0].name(), "x");
  EXPECT_THAT(train.warnings(),
              ElementsAre(HasSubstr("'same' is left out: every row holds 7"),
                          HasSubstr("'none' is left out: every training row misses it"),
                          HasSubstr("'id' is left out: none of its 3 words"),
                          HasSubstr("'word' is left out: every row holds 'w'")));
}

TEST_F(TableSourceTest, AConstantWithGapsKeepsTheGaps) {
  TableSource train;
  train.read(input("x,y\n5,1\n,2\n5,3\n"), nullptr);
  EXPECT_EQ(train.missing_columns(), 1U);
  for (const float value : numbers(train)) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(TableSourceTest, ASlipAmongNumbersIsNamed) {
  std::string text = "x,y\n";
  for (int i = 0; i < 20; ++i) text += (i == 12 ? "1O" : std::to_string(i % 4)) + ",1\n";
  TableSource train;
  train.read(input(text), nullptr);
  EXPECT_THAT(train.warnings(), Contains(AllOf(HasSubstr("line 14"), HasSubstr("'1O'"))));
}

TEST_F(TableSourceTest, TargetsAndIgnoredColumnsAreNoInputs) {
  SourceInput files = input("a,b,t,u\n1,2,3,4\n2,1,4,\n3,5,6,7\n");
  files.targets = {{.task = "t", .column = "t"}, {.task = "u", .column = "u"}};
  TableSource train;
  set(train, "ignore", "[b]");
  train.read(files, nullptr);
  ASSERT_EQ(train.columns().size(), 1U);
  EXPECT_EQ(train.columns()[0].name(), "a");
  EXPECT_EQ(train.target("u").missing, 1U);
  // Without the targets' columns for prediction.
  SourceInput other = input("", "a\n9\n");
  other.part = Part::kDev;
  const auto dev = train.fresh();
  dev->read(other, &train);
  EXPECT_EQ(dev->size(), 1U);
  EXPECT_THAT(dev->targets(), IsEmpty());
}

TEST_F(TableSourceTest, ChoosesInputsByName) {
  SourceInput files = input("a,b,t\n1,2,3\n2,1,4\n");
  files.targets = {{.task = "t", .column = "t"}};
  const auto with = [&](const std::string& key, const std::string& value) {
    return error_of([&] {
      TableSource train;
      set(train, "inputs", "[b, t]");
      if (!key.empty()) set(train, key, value);
      train.read(files, nullptr);
    });
  };
  EXPECT_THAT(with("", "").what(), HasSubstr("the target of task 't'"));
  EXPECT_THAT(with("inputs", "[c]").what(), HasSubstr("no column 'c'"));
  EXPECT_THAT(with("inputs", "[b, b]").what(), HasSubstr("twice"));
}

TEST_F(TableSourceTest, RefusesWhatCannotBe) {
  TableSource train;
  const SourceInput files = input("x,y\n1,2\n2,4\n", "x,y\n1,2\nten,3\n");
  train.read(files, nullptr);
  EXPECT_THAT(error_of([&] { dev_of(train, files); }).what(),
              AllOf(HasSubstr("line 3"), HasSubstr("column 'x'"), HasSubstr("'ten'")));
  const auto code = [&](const std::string& text) {
    return error_of([&] { TableSource().read(input(text), nullptr); }).code();
  };
  EXPECT_EQ(code("x\n1\n"), ErrorCode::kData) << "one row: every column is constant";
  EXPECT_EQ(code("x\ninf\n1\n"), ErrorCode::kData);
  EXPECT_EQ(code("x\n1e999\n1\n"), ErrorCode::kData);
  EXPECT_EQ(code("x,x\n1,2\n"), ErrorCode::kData);
  EXPECT_EQ(code("x,y\n1\n"), ErrorCode::kData);
  EXPECT_EQ(code("x\n"), ErrorCode::kData);
  EXPECT_EQ(code(""), ErrorCode::kData);
  SourceInput lost = input("x\n1\n2\n");
  lost.targets = {{.task = "t", .column = "t"}};
  EXPECT_EQ(error_of([&] { TableSource().read(lost, nullptr); }).code(), ErrorCode::kData);
}

TEST_F(TableSourceTest, HugeAndTinyNumbersStayFinite) {
  TableSource train;
  const SourceInput files = input("x,y\n1e308,1e-300\n-1e308,3e-300\n1e308,2e-300\n",
                                  "x,y\n-1.7e308,1e300\n1.7e308,-1e300\n");
  train.read(files, nullptr);
  for (const float value : numbers(train)) EXPECT_LE(std::fabs(value), 2.0F);
  for (const float value : numbers(*dev_of(train, files))) EXPECT_LE(std::fabs(value), 1e6F);
}

TEST_F(TableSourceTest, OddNamesQuotesAndScripts) {
  TableSource train;
  const SourceInput files = input(
      "\xef\xbb\xbf\"a, \"\"b\"\"\",기온,ключ\r\n1,높음,\"x,y\"\r\n2,낮음,\"x,y\"\r\n3,높음,z\r\n"
      "4,낮음,z\r\n");
  train.read(files, nullptr);
  ASSERT_EQ(train.columns().size(), 3U);
  EXPECT_EQ(train.columns()[0].name(), "a, \"b\"");
  EXPECT_THAT(train.columns()[1].categories(), ElementsAre("낮음", "높음"));
  EXPECT_THAT(train.columns()[2].categories(), ElementsAre("x,y", "z"));
  const auto shown = train.shown();
  ASSERT_EQ(shown.size(), 3U);
  EXPECT_EQ(shown[2].cells[0], "x,y");
}

TEST_F(TableSourceTest, ReloadIsExact) {
  const std::string train_text =
      "x,k,d,m\n0.1,a,2011-01-01,1\n0.2,b,2011-02-01,\n0.30000000000000004,a,2012-01-01,3\n"
      "1e-7,b,2013-01-01,5\n";
  const SourceInput files = input(train_text, "x,k,d,m\n0.7,c,2020-02-02,\n0.2,a,2011-02-01,2\n");
  TableSource train;
  train.read(files, nullptr);
  train.save(folder_.path());
  TableSource loaded;
  loaded.load(folder_.path());
  const auto a = dev_of(train, files);
  const auto b = dev_of(loaded, files);
  EXPECT_EQ(numbers(*a), numbers(*b));
  EXPECT_EQ(ids(*a), ids(*b));
  EXPECT_EQ(values<std::uint8_t>(*a, "missing"), values<std::uint8_t>(*b, "missing"));
  EXPECT_EQ(train.columns()[0].mean(), loaded.columns()[0].mean());
  for (const char* bad : {"",
                          "{}",
                          "{\"format\":\"detente-columns-1\",\"columns\":[]}",
                          "{\"format\":\"detente-columns-1\",\"columns\":[{\"name\":\"x\"}]}",
                          "{\"format\":\"detente-columns-1\",\"columns\":[{\"name\":\"x\",\"kind\":"
                          "\"colour\"}]}"}) {
    write_file_atomic(folder_.path() / "columns.json", bad);
    EXPECT_EQ(error_of([&] { loaded.load(folder_.path()); }).code(), ErrorCode::kData) << bad;
  }
}

TEST_F(TableSourceTest, OtherTasksTargetsNeverLeakIn) {
  SourceInput files = input("a,t,u\n1,2,3\n2,1,4\n");
  files.targets = {{.task = "t", .column = "t"}};
  TableSource train;
  train.leave_out({"u"});
  train.read(files, nullptr);
  ASSERT_EQ(train.columns().size(), 1U);
  EXPECT_EQ(train.columns()[0].name(), "a");
}

}  // namespace
}  // namespace detente::data
