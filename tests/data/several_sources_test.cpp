// SPDX-License-Identifier: Apache-2.0
// Files with tasks of their own: joined tables, targets of one source, encodings over all.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/inspect.h>
#include <detente/data/source.h>
#include <detente/data/table_source.h>
#include <detente/data/text_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>

#include <cmath>
#include <functional>

namespace detente::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

std::string error_of(const std::function<void()>& body, ErrorCode code) {
  const Error error = test::error_of(body);
  EXPECT_EQ(error.code(), code) << error.what();
  return error.what();
}

TEST(JoinedTable, HasTheRowsOfAllUnderTheColumnsOfAll) {
  const Table joined = Table::joined(
      std::vector<NamedTable>{{"a", Table::parse("x,y\n1,2\n3,4\n", "a.csv", TableFormat::kCsv)},
                              {"b", Table::parse("z\ty\n\"5\t6\n", "b.tsv", TableFormat::kTsv)}});
  EXPECT_THAT(joined.column_names(), ElementsAre("x", "y", "z"));
  EXPECT_THAT(joined.text_column("x"), ElementsAre("1", "3", ""));
  EXPECT_THAT(joined.text_column("y"), ElementsAre("2", "4", "6"));
  EXPECT_THAT(joined.text_column("z"), ElementsAre("", "", "\"5"));
  EXPECT_THAT(joined.origins(), ElementsAre("a", "b"));
  EXPECT_EQ(joined.origin(2), 1U);
  EXPECT_EQ(joined.source(1), "a.csv");
  EXPECT_EQ(joined.source(2), "b.tsv");
  EXPECT_EQ(joined.line(2), 2U);
  EXPECT_TRUE(joined.origin_has(0, "x"));
  EXPECT_FALSE(joined.origin_has(1, "x"));
  const Table second = joined.of_origin(1);
  EXPECT_THAT(second.column_names(), ElementsAre("z", "y"));
  EXPECT_THAT(second.text_column("y"), ElementsAre("6"));
  const Table some = joined.select(std::vector<std::size_t>{2, 0});
  EXPECT_THAT(some.text_column("y"), ElementsAre("6", "2"));
  EXPECT_EQ(some.source(0), "b.tsv");
  EXPECT_THAT(some.of_origin(0).text_column("x"), ElementsAre("1"));
}

class SeveralSourcesTest : public ::testing::Test {
 protected:
  NamedFiles source(const std::string& name,
                    const std::string& train,
                    const std::string& dev = "") {
    NamedFiles source{name, {}};
    source.files.train = write(name + ".csv", train);
    if (!dev.empty()) source.files.dev = write(name + "_dev.csv", dev);
    return source;
  }
  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return folder_.file(name);
  }
  static TargetColumn target(const std::string& task,
                             const std::string& source,
                             const std::string& column,
                             TaskKind kind = TaskKind::kRegression) {
    TargetColumn target;
    target.task = task;
    target.source = source;
    target.column = column;
    target.kind = kind;
    return target;
  }
  SourceInput input() {
    SourceInput input;
    input.files.sources = {source("news", "x,c,t\n1,red,10\n2,blue,20\n3,red,30\n"),
                           source("more", "c,x,t\nblue,7,0\nred,9,1\n")};
    input.targets = {target("size", "news", "t"), target("good", "more", "t", TaskKind::kBinary)};
    return input;
  }

  test::TempDir folder_;
};

TEST_F(SeveralSourcesTest, EachRowHasTheTargetsOfItsOwnSource) {
  TableSource table;
  table.read(input(), nullptr);
  EXPECT_EQ(table.size(), 5U);
  EXPECT_THAT(table.origin_names(), ElementsAre("news", "more"));
  EXPECT_THAT(table.origins(), ElementsAre(0U, 0U, 0U, 1U, 1U));
  EXPECT_THAT(table.target("size").values, ElementsAre(10, 20, 30, IsNan(), IsNan()));
  EXPECT_THAT(table.target("good").values, ElementsAre(IsNan(), IsNan(), IsNan(), 0, 1));
  EXPECT_EQ(table.target("good").missing, 3U);
}

TEST_F(SeveralSourcesTest, TheEncodingIsThatOfOneFileWithAllRows) {
  TableSource several;
  several.read(input(), nullptr);
  SourceInput whole;
  whole.files.train = write("all.csv", "x,c,t\n1,red,10\n2,blue,20\n3,red,30\n7,blue,0\n9,red,1\n");
  whole.targets = {target("size", "", "t")};
  TableSource one;
  one.read(whole, nullptr);
  const RowList rows = {4, 0, 2, 3, 1};
  const Batch expected = one.batch(rows, nullptr);
  const Batch got = several.batch(rows, nullptr);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, expected[i].name);
    EXPECT_EQ(got[i].values, expected[i].values);
  }
  EXPECT_THAT(one.origins(), ::testing::IsEmpty());
}

TEST_F(SeveralSourcesTest, PartsAreThoseOfEachSource) {
  SourceInput in = input();
  in.files.sources[0].files.dev = write("d.csv", "x,c,t\n4,red,40\n");
  in.files.sources[1].files.split.dev = 0.5;
  TableSource train;
  train.read(in, nullptr);
  EXPECT_THAT(train.origins(), ElementsAre(0U, 0U, 0U, 1U));
  in.part = Part::kDev;
  TableSource dev;
  dev.read(in, &train);
  EXPECT_THAT(dev.origins(), ElementsAre(0U, 1U));
  EXPECT_THAT(dev.target("size").values, ElementsAre(40, IsNan()));
  // One source alone may have a test part; the other's tasks have nothing there.
  in.files.sources[0].files.split.test = 0.4;
  in.files.sources[0].files.dev = "";
  in.files.sources[0].files.split.dev = 0.3;
  in.part = Part::kTest;
  TableSource test;
  test.read(in, &train);
  EXPECT_THAT(test.origin_names(), ElementsAre("news"));
  EXPECT_THAT(test.target("good").values, ::testing::Each(IsNan()));
  EXPECT_EQ(test.target("good").missing, test.size());
}

TEST_F(SeveralSourcesTest, ErrorsNameSourceFileAndLine) {
  const auto read = [&](const SourceInput& in) {
    return error_of([&] { TableSource().read(in, nullptr); }, ErrorCode::kData);
  };
  SourceInput in = input();
  write("more.csv", "c,x,t\nblue,7,0\nred,9,2\n");
  EXPECT_THAT(read(in),
              AllOf(HasSubstr("source 'more'"), HasSubstr("more.csv"), HasSubstr("line 3")));
  write("more.csv", "c,x,u\nblue,7,0\nred,9,1\n");
  EXPECT_THAT(read(in), AllOf(HasSubstr("source 'more'"), HasSubstr("no column 't'")));
  write("more.csv", "c,x,t\nblue,7\n");
  EXPECT_THAT(read(in), AllOf(HasSubstr("source 'more'"), HasSubstr("line 2")));
  for (const char* empty : {"", "c,x,t\n"}) {
    write("more.csv", empty);
    EXPECT_THAT(read(in), AllOf(HasSubstr("source 'more'"), HasSubstr("more.csv")));
  }
  write("more.csv", "c,x,t\nblue,7,\nred,9,\n");
  EXPECT_THAT(read(in), AllOf(HasSubstr("source 'more'"), HasSubstr("'good' has no target")));
  // An input that one source lacks.
  write("more.csv", "c,t\nblue,0\nred,1\n");
  EXPECT_THAT(
      read(in),
      AllOf(HasSubstr("source 'more'"), HasSubstr("no column 'x'"), HasSubstr("data.ignore")));
  write("more.csv", "c,x,t\nblue,7,0\nred,1e999,1\n");
  EXPECT_THAT(
      read(in),
      AllOf(HasSubstr("line 3"), HasSubstr("more.csv'"), ::testing::Not(HasSubstr("news.csv"))));
  std::filesystem::remove(folder_.path() / "more.csv");
  EXPECT_THAT(error_of([&] { TableSource().read(in, nullptr); }, ErrorCode::kIo),
              AllOf(HasSubstr("source 'more'"), HasSubstr("more.csv")));
}

TEST_F(SeveralSourcesTest, TextsShareOneVocabulary) {
  SourceInput in;
  in.files.sources = {source("a", "text,t\nred sea,1\nblue sky,2\n"),
                      source("b", "id,text,u\n4,green hill,1\n5,red hill,0\n")};
  in.targets = {target("t", "a", "t"), target("u", "b", "u", TaskKind::kBinary)};
  TextSource text;
  text.read(in, nullptr);
  EXPECT_EQ(text.size(), 4U);
  EXPECT_THAT(text.origins(), ElementsAre(0U, 0U, 1U, 1U));
  const Batch batch = text.batch(RowList{3}, nullptr);  // letters that the first source has not
  const auto& ids = std::get<std::vector<std::int32_t>>(array_of(batch, "first").values);
  const auto unknown = text.tokenizer().special().unk;
  EXPECT_THAT(ids, ::testing::Not(::testing::Contains(unknown)));
}

TEST_F(SeveralSourcesTest, ListsOfImagesAreRelativeToTheirOwnFolder) {
  for (const char* name : {"one", "two"}) {
    std::filesystem::create_directories(folder_.path() / name);
    write(std::string(name) + "/p.png", test::png_file(test::noise(4, 4, 1, name[0])));
    write(std::string(name) + "/list.csv", std::string("image,") + name + "\np.png,1\np.png,0\n");
  }
  SourceInput in;
  for (const char* name : {"one", "two"}) {
    NamedFiles named{name, {}};
    named.files.train = folder_.file(std::string(name) + "/list.csv");
    in.files.sources.push_back(named);
  }
  in.targets = {target("one", "one", "one", TaskKind::kBinary),
                target("two", "two", "two", TaskKind::kBinary)};
  const auto images = make_source("images");
  images->read(in, nullptr);
  EXPECT_EQ(images->size(), 4U);
  EXPECT_THAT(images->target("two").values, ElementsAre(IsNan(), IsNan(), 1, 0));
  const Batch batch = images->batch(RowList{0, 2}, nullptr);
  std::visit(
      [](const auto& values) {
        EXPECT_NE(values.front(), values.back()) << "two pictures of one name";
      },
      batch.front().values);
  std::filesystem::create_directories(folder_.path() / "classes/c");
  write("classes/c/p.png", test::png_file(test::noise(4, 4, 1, 1)));
  in.files.sources[1].files.train = folder_.file("classes");
  EXPECT_THAT(error_of([&] { make_source("images")->read(in, nullptr); }, ErrorCode::kData),
              AllOf(HasSubstr("source 'two'"), HasSubstr("no list")));
}

TEST_F(SeveralSourcesTest, FindingsAreBySource) {
  SourceInput in = input();
  for (NamedFiles& named : in.files.sources) named.files.dev = named.files.train;
  const DataFindings found = inspect_data(TableSource(), in.files, in.targets);
  ASSERT_EQ(found.parts.size(), 2U);
  EXPECT_EQ(found.parts[0].rows, 5U);
  EXPECT_EQ(found.parts[0].rows_of("news"), 3U);
  EXPECT_EQ(found.parts[0].rows_of("more"), 2U);
  EXPECT_EQ(found.tasks[1].source, "more");
  EXPECT_EQ(found.tasks[1].parts[0].labelled, 2U);
  EXPECT_THAT(found.pairs, ::testing::IsEmpty()) << "tasks of two sources have no row in common";
  const Json json = found.to_json();
  EXPECT_EQ(json["parts"][0]["sources"][1]["rows"], 2);
  EXPECT_EQ(json["tasks"][0]["train"]["rows"], 3);
}

TEST(SourceFiles, RefuseWhatIsNoListOfSources) {
  SourceFiles files;
  NamedFiles good{"a", {}};
  good.files.train = "a.csv";
  good.files.split.dev = 0.1;
  const auto refused = [&] {
    return error_of([&] { files.validate("here"); }, ErrorCode::kInvalidArgument);
  };
  files.sources = {good, good};
  EXPECT_THAT(refused(), HasSubstr("named 'a'"));
  files.sources[1].name = "";
  EXPECT_THAT(refused(), HasSubstr("no 'name'"));
  files.sources[1].name = "b";
  EXPECT_NO_THROW(files.validate("here"));
  files.sources[1].files.split.dev = 0;
  EXPECT_THAT(refused(), AllOf(HasSubstr("source 'b'"), HasSubstr("'data.dev' is missing")));
  files.sources = {good};
  files.train = "x.csv";
  EXPECT_THAT(refused(), HasSubstr("'data.train' and 'data.sources'"));
}

}  // namespace
}  // namespace detente::data
