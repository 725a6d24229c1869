// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/value_examples.h>
#include <detente/core/error.h>
#include <detente/data/joined_source.h>
#include <detente/report/pixels.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>
#include <tests/support/write_sounds.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

using data::TargetColumn;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::unique_ptr<data::Source> read(const std::string& kind,
                                   const data::SourceFiles& files,
                                   const std::vector<TargetColumn>& tasks) {
  auto source = data::make_source(kind);
  source->read({files, data::Part::kTrain, tasks, {}}, nullptr);
  return source;
}

TEST(ValueExamples, ShowsTableRowsWithTheirLabels) {
  const test::TempDir folder;
  data::SourceFiles files;
  files.train = folder.write("t.csv", "x,sort,y\n1,red,0.5\n2,,\n3,blue,7\n");
  const std::vector<TargetColumn> tasks = {{.task = "sort",
                                            .column = "sort",
                                            .kind = TaskKind::kClasses,
                                            .classes = 2,
                                            .class_names = {"red", "blue"}},
                                           {.task = "amount", .column = "y"}};
  const auto train = read("table", files, tasks);
  const ValueExamples show(*train, tasks);
  const valuation::ShownExample shown = show(2);
  EXPECT_EQ(shown.file, "t.csv");
  EXPECT_EQ(shown.row, 2);
  EXPECT_EQ(shown.line, 4);
  EXPECT_EQ(shown.png, "");
  EXPECT_EQ(shown.wav, "");
  EXPECT_THAT(shown.cells, ::testing::Contains(Pair("x", "3")));
  EXPECT_THAT(shown.cells, ::testing::Contains(Pair("given for sort", "blue")));
  EXPECT_THAT(shown.cells, ::testing::Contains(Pair("given for amount", "7")));
  const auto labels = given_labels(*train, tasks);
  EXPECT_THAT(labels[0].given, ElementsAre("red", "", "blue"));
  EXPECT_TRUE(labels[0].are_classes);
  EXPECT_THAT(labels[1].given, ElementsAre("0.5", "", "7"));
  EXPECT_FALSE(labels[1].are_classes);
  EXPECT_THAT(value_sources(*train), IsEmpty());
  EXPECT_EQ(test::error_of([&] { show(3); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(test::error_of([&] { show(-1); }).what(), HasSubstr("expected 0 to 2"));
}

TEST(ValueExamples, CutsLongTextsBetweenCharacters) {
  const test::TempDir folder;
  std::string text = "a";
  for (int i = 0; i < 400; ++i) text += "한";
  data::SourceFiles files;
  files.train = folder.write("t.tsv", "text\tn\n" + text + "\t1\nb\t2\n");
  const auto train = read("text", files, {});
  const std::string cell = ValueExamples(*train, {})(0).cells.at(0).second;
  EXPECT_LE(cell.size(), kLongestText + 3);
  EXPECT_EQ(cell.substr(cell.size() - 6), "한…");
}

TEST(ValueExamples, ShowsPicturesAndPlaysSounds) {
  const test::TempDir folder;
  std::string list = "image,audio,label\n";
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    folder.write(n + ".png", test::png_file(test::noise(400, 200, 1, i)));
    folder.write(n + ".wav", test::wav_file(test::pcm16(test::tone(300, 1600))));
    list += n + ".png," + (i == 1 ? "" : n + ".wav") + "," + n + "\n";
  }
  data::SourceFiles files;
  files.train = folder.write("list.csv", list);
  data::JoinedSource train;
  train.add_part("picture", data::make_source("images"));
  train.add_part("sound", data::make_source("audio"));
  train.read({files, data::Part::kTrain, {}, {}}, nullptr);
  const ValueExamples show(train, {});
  const auto first = show(0);
  EXPECT_TRUE(report::is_png_text(first.png));
  EXPECT_LT(first.png.size(), 192U * 96U * 2U) << "as small as a page shows it";
  EXPECT_TRUE(report::is_wav_text(first.wav));
  EXPECT_EQ(show(1).wav, "");
  EXPECT_NE(show(1).png, "");
  std::filesystem::remove(folder.file("2.wav"));
  const auto last = show(2);
  EXPECT_EQ(last.wav, "");
  EXPECT_EQ(last.cells.back().first, "recording");
  EXPECT_THAT(last.cells.back().second, HasSubstr("2.wav"));
}

}  // namespace
}  // namespace detente::cli
