// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/pair_source.h>
#include <detente/data/source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/standard_input.h>
#include <tests/support/temp_dir.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SourceFilesTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }
  test::TempDir folder_;
};

TEST_F(SourceFilesTest, ReadPartsOfOneFile) {
  SourceFiles files;
  std::string text = "x\n";
  for (int i = 0; i < 20; ++i) text += std::to_string(i) + "\n";
  files.train = write("t.csv", text);
  files.split = {.dev = 0.2, .test = 0.1, .seed = 0};
  const Table dev = files.read_table(Part::kDev);
  EXPECT_EQ(dev.rows(), 4U);
  EXPECT_EQ(files.read_table(Part::kTest).rows(), 2U);
  // Rows keep the place they have in the file.
  for (std::size_t i = 0; i < dev.rows(); ++i) {
    EXPECT_EQ(static_cast<double>(dev.line(i)), dev.numeric_column("x")[i] + 2);
  }
  EXPECT_EQ(files.read_table(Part::kTrain).rows(), 14U);
  files.max_rows = 3;
  EXPECT_EQ(files.read_table(Part::kTrain).rows(), 3U);
  EXPECT_EQ(files.read_table(Part::kDev).rows(), 4U) << "max_rows is for training";
}

TEST_F(SourceFilesTest, TestRowsWorkBesideADevFile) {
  SourceFiles files;
  files.train = write("t.csv", "x\n1\n2\n3\n4\n");
  files.dev = write("d.csv", "x\n7\n");
  files.split.test = 0.5;
  EXPECT_EQ(files.read_table(Part::kTrain).rows(), 2U);
  EXPECT_THAT(files.read_table(Part::kDev).numeric_column("x"), ElementsAre(7));
}

TEST_F(SourceFilesTest, ReadStandardInputWhoseFormatIsNamed) {
  const std::string file = write("t.dat", "x,y\n1,\"a,b\"\n2,c\n");
  {
    const test::StandardInput input(file);
    const Table table = one_file(kStandardInput, TableFormat::kCsv).read_table(Part::kDev);
    EXPECT_THAT(table.numeric_column("x"), ElementsAre(1, 2));
    EXPECT_EQ(table.cell(0, 1), "a,b");
    EXPECT_EQ(table.source(), "standard input");
  }
  {
    const test::StandardInput input(file);
    const Error error = error_of([&] { one_file(kStandardInput).read_table(Part::kDev); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("--format tsv or --format csv"));
  }
  {
    const test::StandardInput input("/dev/null");
    EXPECT_THAT(error_of([&] {
                  one_file(kStandardInput, TableFormat::kCsv).read_table(Part::kDev);
                }).what(),
                HasSubstr("'standard input' is empty"));
  }
  const test::StandardInput input(folder_.path().string());
  const Error error =
      error_of([&] { one_file(kStandardInput, TableFormat::kCsv).read_table(Part::kDev); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("cannot read 'standard input'"));
}

TEST_F(SourceFilesTest, SayWhatIsMissing) {
  SourceFiles files;
  EXPECT_THAT(error_of([&] { files.validate("here"); }).what(), HasSubstr("data.train"));
  files.train = "t.csv";
  EXPECT_THAT(error_of([&] { files.validate("here"); }).what(), HasSubstr("data.split.dev"));
  files.dev = "d.csv";
  files.validate("here");
  files.split.dev = 0.5;
  EXPECT_THAT(error_of([&] { files.validate("here"); }).what(), HasSubstr("one of them"));
  files.dev.clear();
  files.split.test = 0.5;
  EXPECT_THAT(error_of([&] { files.validate("here"); }).what(), HasSubstr("less than 1"));
  files.split.test = 0;
  EXPECT_THAT(error_of([&] { files.read_table(Part::kTest); }).what(), HasSubstr("no test rows"));
}

TEST(SourceRegistry, KnowsItsKinds) {
  EXPECT_THAT(source_kinds(),
              ElementsAre("pairs",
                          "table",
                          "text",
                          "images",
                          "graph",
                          "dense",
                          "audio",
                          "arrays",
                          "video",
                          "slides",
                          "joined"));
  for (const std::string& kind : source_kinds()) {
    const auto source = make_source(kind);
    EXPECT_EQ(source->kind(), kind);
    EXPECT_EQ(source->fresh()->kind(), kind);
    EXPECT_EQ(source->size(), 0U);
  }
  EXPECT_THAT(error_of([] { make_source("tabel"); }).what(), HasSubstr("'table'"));
}

TEST(Table, SelectedRowsOutliveTheTable) {
  Table chosen = [] {
    const Table table = Table::parse("a,b\n1,x\n2,y\n3,z\n", "t.csv", TableFormat::kCsv);
    return table.select(RowList{2, 0, 2});
  }();
  EXPECT_THAT(chosen.text_column("b"), ElementsAre("z", "x", "z"));
  EXPECT_THAT(chosen.numeric_column("a"), ElementsAre(3, 1, 3));
}

class PairSourceTest : public SourceFilesTest {
 protected:
  SourceInput input() {
    SourceInput input;
    input.files.train = write("t.tsv",
                              "sentence1\tsentence2\ty\n하늘 바다\t하늘\t1\n산\t바다 산 산\t\n"
                              "비가 온다\t비\t3\n");
    input.files.dev = write("d.tsv", "sentence1\tsentence2\ty\n바다\t하늘 산\t2\n");
    input.targets = {{.task = "score", .column = "y"}};
    return input;
  }
};

TEST_F(PairSourceTest, BatchesHoldTheEncodedSentences) {
  PairSource source;
  source.set_lexical(true);
  source.read(input(), nullptr);
  ASSERT_EQ(source.size(), 3U);
  const std::vector<std::size_t> rows = {2, 1};
  const Batch batch = source.batch(rows, nullptr);
  for (const char* side : {"first", "second"}) {
    const Array& ids = array_of(batch, side);
    const auto& values = std::get<std::vector<std::int32_t>>(ids.values);
    const auto& lengths =
        std::get<std::vector<std::int32_t>>(array_of(batch, std::string(side) + "_length").values);
    const auto& expected =
        std::string(side) == "first" ? source.pairs().ids_a : source.pairs().ids_b;
    const std::size_t width = ids.shape[1];
    for (std::size_t i = 0; i < 2; ++i) {
      const std::vector<std::int32_t> row(
          values.begin() + static_cast<std::ptrdiff_t>(i * width),
          values.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      const auto length = static_cast<std::size_t>(lengths[i]);
      EXPECT_EQ(std::vector<std::int32_t>(row.begin(), row.begin() + lengths[i]),
                expected[rows[i]]);
      for (std::size_t j = length; j < width; ++j)
        EXPECT_EQ(row[j], source.tokenizer().special().pad);
    }
  }
  EXPECT_EQ(array_of(batch, "numbers").shape[1], source.numbers());
  const Batch targets = source.target_batch(rows);
  ASSERT_EQ(targets.size(), 1U);
  EXPECT_EQ(targets[0].name, "score");
  const auto& values = std::get<std::vector<double>>(targets[0].values);
  EXPECT_EQ(values[0], 3);
  EXPECT_TRUE(std::isnan(values[1]));
}

TEST_F(PairSourceTest, ReloadedEncodingIsTheSame) {
  PairSource train;
  train.set_lexical(true);
  SourceInput wanted = input();
  train.read(wanted, nullptr);
  wanted.part = Part::kDev;
  const auto dev = train.fresh();
  dev->read(wanted, &train);
  train.save(folder_.path());
  const auto loaded = train.fresh();
  loaded->load(folder_.path());
  const auto again = loaded->fresh();
  again->read(wanted, loaded.get());
  const std::vector<std::size_t> rows = {0};
  const Batch a = dev->batch(rows, nullptr);
  const Batch b = again->batch(rows, nullptr);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].values, b[i].values) << a[i].name;
  EXPECT_EQ(dev->untrained_scores()[1].values, again->untrained_scores()[1].values);
}

TEST_F(PairSourceTest, AnotherKindCannotEncodeIt) {
  const auto table = make_source("table");
  PairSource source;
  EXPECT_EQ(error_of([&] { source.read(input(), table.get()); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::data
