// SPDX-License-Identifier: Apache-2.0
// data.drop, the way from an example back to its file, and tables without rows.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/dropped_rows.h>
#include <detente/data/joined_source.h>
#include <detente/data/source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_dense.h>
#include <tests/support/write_images.h>
#include <tests/support/write_npy.h>
#include <tests/support/write_sounds.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Options = std::vector<std::pair<std::string, std::string>>;

class DroppedRowsTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    return folder_.write(name, bytes);
  }
  std::string drop(const std::vector<std::size_t>& rows, const std::string& name = "drop.txt") {
    return write(name, dropped_rows_text(rows, "a list"));
  }
  // x is the row's number.
  std::string numbered(std::size_t rows, const std::string& name = "t.csv") {
    std::string text = "x,y,g\n";
    for (std::size_t i = 0; i < rows; ++i) {
      text += fmt::format("{},{},g{}\n", i, i % 2, i / 4);
    }
    return write(name, text);
  }
  static std::unique_ptr<Source> read(const std::string& kind,
                                      const SourceFiles& files,
                                      Part part = Part::kTrain,
                                      const Options& options = {},
                                      const Source* fitted = nullptr) {
    auto source = make_source(kind);
    for (const auto& [name, value] : options) {
      set_field([&](FieldVisitor& v) { source->describe(v); }, name, value, "test");
    }
    source->read({files, part, {}, {}}, fitted);
    return source;
  }
  static std::vector<std::size_t> rows_of(const Source& source) {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < source.size(); ++i) rows.push_back(source.place(i).row);
    return rows;
  }
  static std::vector<std::size_t> whole(std::size_t count) {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < count; ++i) rows.push_back(i);
    return rows;
  }
  // Every kind: all rows, then without two of them; what is left is what it was.
  static void expect_drops(const std::string& kind,
                           SourceFiles files,
                           const std::string& list,
                           const std::vector<std::size_t>& gone,
                           const Options& options = {}) {
    const auto all = read(kind, files, Part::kTrain, options);
    files.drop = list;
    // With the encoding of all, for scales are the training rows'.
    const auto some = read(kind, files, Part::kTrain, options, all.get());
    std::vector<std::size_t> expected = rows_of(*all);
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (std::find(gone.begin(), gone.end(), expected[i]) == gone.end()) kept.push_back(i);
    }
    std::erase_if(expected, [&](std::size_t row) {
      return std::find(gone.begin(), gone.end(), row) != gone.end();
    });
    ASSERT_EQ(rows_of(*some), expected) << kind;
    ASSERT_LT(some->size(), all->size());
    EXPECT_EQ(some->costs().size(), some->size());
    const Batch before = all->batch(kept, nullptr);
    const Batch after = some->batch(whole(some->size()), nullptr);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t a = 0; a < before.size(); ++a) {
      EXPECT_EQ(before[a].values, after[a].values) << kind << " " << before[a].name;
    }
  }

  const test::TempDir folder_;
};

// --- lists ----------------------------------------------------------------------------------------

TEST_F(DroppedRowsTest, ListsAreReadAsTheyAreWritten) {
  EXPECT_THAT(read_dropped_rows(drop({2, 5, 100})), ElementsAre(2, 5, 100));
  EXPECT_THAT(read_dropped_rows(write("a", "\xef\xbb\xbf# a\r\n\r\n 7 # b\r\n3\r\n7\r\n")),
              ElementsAre(3, 7));
  EXPECT_THAT(read_dropped_rows(write("a", "4\r2\r")), ElementsAre(2, 4));
  EXPECT_THAT(read_dropped_rows(write("a", "")), IsEmpty());
  EXPECT_EQ(dropped_rows_text(std::vector<std::size_t>{1, 2}, "a\nb"), "# a b\n1\n2\n");
  EXPECT_EQ(dropped_rows_text({}, ""), "");
}

TEST_F(DroppedRowsTest, WhatIsNoListIsRefused) {
  for (const char* text :
       {"1\n-2\n", "1\n1.5\n", "1\nx\n", "1\n2,3\n", "1\n99999999999999999999\n"}) {
    const Error error = error_of([&] { read_dropped_rows(write("a", text)); });
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("line 2"), HasSubstr("from 0")));
  }
  const Error beyond = error_of([&] { read_dropped_rows(write("a", "2\n3\n"), 3); });
  EXPECT_THAT(beyond.what(), AllOf(HasSubstr("row 3"), HasSubstr("3 rows")));
  EXPECT_EQ(error_of([&] { read_dropped_rows(folder_.file("none")); }).code(), ErrorCode::kIo);
}

// --- data.drop ------------------------------------------------------------------------------------

TEST_F(DroppedRowsTest, SplitsStayWhatTheyWere) {
  SourceFiles files;
  files.train = numbered(40);
  for (const auto& [way, split] :
       std::vector<std::pair<std::string, Split>>{{"shares", {.dev = 0.2, .test = 0.1}},
                                                  {"folds", {.folds = 5, .fold = 2}},
                                                  {"group", {.dev = 0.2, .group = "g"}},
                                                  {"time", {.dev = 0.2, .time = "x"}}}) {
    files.split = split;
    files.drop.clear();
    const auto all = read("table", files);
    const auto dev = read("table", files, Part::kDev, {}, all.get());
    std::vector<std::size_t> expected = rows_of(*all);
    const std::vector<std::size_t> gone = {expected[0], expected[7], rows_of(*dev)[1]};
    files.drop = drop(gone);
    const auto some = read("table", files);
    const auto same = read("table", files, Part::kDev, {}, some.get());
    std::erase_if(expected, [&](std::size_t row) { return row == gone[0] || row == gone[1]; });
    EXPECT_EQ(rows_of(*some), expected) << way;
    EXPECT_EQ(rows_of(*same), rows_of(*dev)) << way;
    for (std::size_t i = 0; i < some->size(); ++i) {
      EXPECT_EQ(some->shown()[0].cells[i], std::to_string(some->place(i).row)) << way;
      EXPECT_EQ(some->place(i).line, some->place(i).row + 2) << way;
      EXPECT_EQ(some->place(i).file, files.train);
    }
  }
}

TEST_F(DroppedRowsTest, IsCountedAfterMaxRows) {
  SourceFiles files;
  files.train = numbered(10);
  files.max_rows = 4;
  files.drop = drop({1, 8});
  EXPECT_THAT(rows_of(*read("table", files)), ElementsAre(0, 2, 3));
}

TEST_F(DroppedRowsTest, OtherFilesLoseNothing) {
  SourceFiles files;
  files.train = numbered(6);
  files.dev = numbered(5, "d.csv");
  files.drop = drop({0, 1});
  const auto train = read("table", files);
  EXPECT_EQ(rows_of(*read("table", files, Part::kDev, {}, train.get())), whole(5));
  EXPECT_THAT(files.all_files(), Contains(files.drop));
}

TEST_F(DroppedRowsTest, ErrorsNameTheList) {
  SourceFiles files;
  files.train = numbered(3);
  files.drop = drop({0, 1, 2});
  EXPECT_THAT(error_of([&] { read("table", files); }).what(),
              AllOf(HasSubstr("drop.txt"), HasSubstr("leaves no training row")));
  files.drop = drop({3});
  EXPECT_THAT(error_of([&] { read("table", files); }).what(), HasSubstr("names row 3"));
  SourceFiles several;
  several.drop = files.drop;
  several.sources.push_back({"a", files});
  EXPECT_THAT(error_of([&] { several.validate("r.yaml"); }).what(), HasSubstr("'data.drop'"));
}

TEST_F(DroppedRowsTest, EverySourceHasItsOwn) {
  SourceFiles files;
  files.sources = {{"a", {}}, {"b", {}}};
  files.sources[0].files.train = numbered(4, "a.csv");
  files.sources[1].files.train = numbered(5, "b.csv");
  files.sources[1].files.drop = drop({0, 3});
  const auto train = read("table", files);
  EXPECT_THAT(rows_of(*train), ElementsAre(0, 1, 2, 3, 1, 2, 4));
  EXPECT_EQ(train->place(0).file, folder_.file("a.csv"));
  EXPECT_EQ(train->place(4).file, folder_.file("b.csv"));
  EXPECT_EQ(train->place(4).line, 3U);
}

// --- all kinds ------------------------------------------------------------------------------------

TEST_F(DroppedRowsTest, TablesAndTextsLoseRows) {
  SourceFiles files;
  files.train = numbered(12);
  files.split.dev = 0.25;
  expect_drops("table", files, drop(whole(6)), whole(6));
  files.train = write("p.tsv", "sentence1\tsentence2\na b\tb\nc d\td\ne f\tf\ng h\th\n");
  files.split.dev = 0;
  expect_drops("pairs", files, drop({1, 2}), {1, 2});
  files.train = write("t.jsonl", "{\"text\":\"a b\"}\n{\"text\":\"c\"}\n{\"text\":\"d e f\"}\n");
  expect_drops("text", files, drop({1}), {1});
}

TEST_F(DroppedRowsTest, ImagesLoseRows) {
  std::string pixels;
  std::string labels;
  for (int i = 0; i < 9; ++i) {
    pixels += std::string(6, static_cast<char>(20 * i));
    labels += static_cast<char>(i % 3);
  }
  SourceFiles files;
  files.train = write("train-images-idx3-ubyte", test::idx_file({9, 2, 3}, pixels));
  write("train-labels-idx1-ubyte", test::idx_file({9}, labels));
  expect_drops("images", files, drop({0, 4, 8}), {0, 4, 8});
  EXPECT_EQ(read("images", files)->place(3).line, 0U);
  EXPECT_FALSE(read("images", files)->is_text());
  files.split.dev = 0.3;
  expect_drops("images", files, drop({0, 1, 2, 3}), {0, 1, 2, 3});
}

// The pairs that stay are the pairs that were.
TEST_F(DroppedRowsTest, OverlaidImagesKeepTheirPartners) {
  std::string pixels;
  for (int i = 0; i < 9; ++i) pixels += std::string(6, static_cast<char>(20 * i));
  SourceFiles files;
  files.train = write("train-images-idx3-ubyte", test::idx_file({9, 2, 3}, pixels));
  write("train-labels-idx1-ubyte", test::idx_file({9}, std::string(9, '\1')));
  const Options overlay = {{"overlay", "5"}, {"overlay_seed", "4"}};
  expect_drops("images", files, drop({2, 3, 8}), {2, 3, 8}, overlay);
  files.max_rows = 7;
  expect_drops("images", files, drop({2, 3, 8}), {2, 3}, overlay);
}

TEST_F(DroppedRowsTest, MovingPicturesLoseAllTheirClips) {
  std::string pixels;
  for (int i = 0; i < 5; ++i) pixels += std::string(6, static_cast<char>(20 + 20 * i));
  SourceFiles files;
  files.train = write("train-images-idx3-ubyte", test::idx_file({5, 2, 3}, pixels));
  write("train-labels-idx1-ubyte", test::idx_file({5}, std::string(5, '\1')));
  expect_drops("video",
               files,
               drop({1, 4}),
               {1, 4},
               {{"frames", "3"}, {"moving.side", "5"}, {"moving.clips", "2"}});
}

TEST_F(DroppedRowsTest, ListsOfImagesKnowTheirLines) {
  std::string list = "image,label\n";
  for (int i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i) + ".png";
    write(name, test::png_file(test::noise(4, 4, 1, i)));
    list += name + ",a\n";
  }
  SourceFiles files;
  files.train = write("list.csv", list);
  expect_drops("images", files, drop({2}), {2});
  const auto train = read("images", files);
  EXPECT_EQ(train->place(3).line, 5U);
  EXPECT_FALSE(train->is_text()) << "the list is not all there is to them";
}

TEST_F(DroppedRowsTest, ArraysMapsAndGraphsLoseRows) {
  SourceFiles files;
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  files.train =
      write("a.npz",
            test::zip_file({{"X.npy", test::npy_file("<f4", "(6, 2)", test::raw_bytes(numbers))}}));
  files.split.dev = 0.2;
  expect_drops("arrays", files, drop({0, 1, 2}), {0, 1, 2});
  files.split.dev = 0;
  files.train = write("d.dns", test::dense_container(5, {3, 4, 4}, 3, false));
  expect_drops("dense", files, drop({0, 3}), {0, 3});
  files.train =
      write("g.txt",
            "m1 2 1 6:0:3:0 8:0:1:0 0-1-1\nm2 1 0 7:1:4:0\nm3 3 2 6:0:1:0 6:0:0:0 53:0:0:0 0-1-3 "
            "1-2-1\n");
  expect_drops("graph", files, drop({1}), {1});
}

TEST_F(DroppedRowsTest, RecordingsLoseRows) {
  std::string list = "audio,label\n";
  for (int i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i) + ".wav";
    write(name, test::wav_file(test::pcm16(test::tone(300 + 100 * i, 800))));
    list += name + ",a\n";
  }
  SourceFiles files;
  files.train = write("list.csv", list);
  expect_drops("audio", files, drop({0, 2}), {0, 2});
}

// A part that is a file of its own still belongs to the rows that are left, also where the file's rows
// are counted as the list's are.
TEST_F(DroppedRowsTest, JoinedExamplesLoseRows) {
  std::string pixels;
  for (int i = 0; i < 5; ++i) pixels += std::string(6, static_cast<char>(20 + 20 * i));
  const std::string images = write("images-idx3-ubyte", test::idx_file({5, 2, 3}, pixels));
  SourceFiles files;
  files.train = numbered(5);
  files.split.dev = 0.2;
  const auto joined = [&] {
    JoinedSource source;
    source.add_part("picture", make_source("images"), {.file = images});
    source.add_part("row", make_source("table"));
    return source;
  };
  JoinedSource all = joined();
  all.read({files, Part::kTrain, {}, {}}, nullptr);
  ASSERT_EQ(all.size(), 4U);
  const std::size_t gone = all.place(1).row;
  files.drop = drop({gone});
  JoinedSource some = joined();
  some.read({files, Part::kTrain, {}, {}}, &all);
  ASSERT_EQ(some.size(), 3U);
  EXPECT_EQ(some.place(0).row, all.place(0).row);
  EXPECT_EQ(some.place(1).row, all.place(2).row);
  const std::vector<std::size_t> kept = {0, 2, 3};
  EXPECT_EQ(array_of(some.batch(whole(3), nullptr), "picture/image").values,
            array_of(all.batch(kept, nullptr), "picture/image").values);
  EXPECT_EQ(array_of(some.batch(whole(3), nullptr), "row/numbers").values,
            array_of(all.batch(kept, nullptr), "row/numbers").values);
  EXPECT_FALSE(some.is_text());
}

TEST_F(DroppedRowsTest, NodesOfAGraphLoseRows) {
  SourceFiles files;
  files.train =
      write("g.txt", "5 4 3 3\n0 0 2 3 1\n1 0 0\n-1 0 1 0\n2 0 1 2\n1 1 1 1\n1 0\n1 2\n4 1\n");
  files.drop = drop({1});
  auto source = make_source("graph");
  source->read({files, Part::kTrain, {}, {}}, nullptr);
  EXPECT_THAT(rows_of(*source), Not(Contains(1U)));
  EXPECT_THAT(rows_of(*source), Contains(0U));
}

// --- from examples to lists -----------------------------------------------------------------------

TEST_F(DroppedRowsTest, ExamplesBecomeRowsOfTheFile) {
  SourceFiles files;
  files.train = numbered(20);
  files.split.dev = 0.3;
  const auto train = read("table", files);
  const std::vector<std::int64_t> examples = {3, 0, 3};
  const auto dropped = dropped_rows(files, *train, examples);
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].fresh, 2U);
  EXPECT_THAT(dropped[0].rows, ElementsAre(train->place(0).row, train->place(3).row));
  const auto paths = write_dropped_rows(dropped, folder_.path() / "out", false, files);
  EXPECT_THAT(paths, ElementsAre(folder_.path() / "out" / "drop.txt"));
  EXPECT_EQ(std::filesystem::path(files.drop), std::filesystem::canonical(paths[0]));
  // What was dropped stays dropped when more goes.
  const auto fewer = read("table", files);
  EXPECT_EQ(fewer->size(), train->size() - 2);
  const auto more = dropped_rows(files, *fewer, std::vector<std::int64_t>{0});
  EXPECT_EQ(more[0].rows.size(), 3U);
  EXPECT_EQ(more[0].fresh, 1U);
  EXPECT_THAT(dropped_rows(files, *train, {}), IsEmpty());
}

TEST_F(DroppedRowsTest, ListsGoToTheirSources) {
  SourceFiles files;
  files.sources = {{"a", {}}, {"b", {}}, {"c", {}}};
  for (NamedFiles& source : files.sources) {
    source.files.train = numbered(4, source.name + ".csv");
  }
  const auto train = read("table", files);
  const auto dropped = dropped_rows(files, *train, std::vector<std::int64_t>{11, 1});
  ASSERT_EQ(dropped.size(), 2U);
  EXPECT_EQ(dropped[1].source, "c");
  const auto paths = write_dropped_rows(dropped, folder_.path(), false, files);
  EXPECT_THAT(read_dropped_rows(files.sources[0].files.drop), ElementsAre(1));
  EXPECT_EQ(files.sources[1].files.drop, "");
  EXPECT_THAT(read_dropped_rows(files.sources[2].files.drop), ElementsAre(3));
  EXPECT_EQ(read("table", files)->size(), 10U);
}

TEST_F(DroppedRowsTest, NothingIsWrittenOver) {
  SourceFiles files;
  files.train = numbered(4);
  const auto train = read("table", files);
  const auto dropped = dropped_rows(files, *train, std::vector<std::int64_t>{1});
  const auto message = [&](bool replace) {
    return std::string(
        error_of([&] { write_dropped_rows(dropped, folder_.path(), replace, files); }).what());
  };
  write("drop.txt", "old");
  EXPECT_THAT(message(false), HasSubstr("is there already"));
  EXPECT_EQ(read_file(folder_.file("drop.txt")), "old");
  SourceFiles changed = files;
  write_dropped_rows(dropped, folder_.path(), true, changed);
  EXPECT_THAT(read_dropped_rows(folder_.file("drop.txt")), ElementsAre(1));
  // The list that the recipe reads now.
  files.drop = folder_.file("drop.txt");
  EXPECT_THAT(message(true), HasSubstr("that the recipe reads"));
  std::filesystem::remove(folder_.file("drop.txt"));
  std::filesystem::create_symlink(files.train, folder_.path() / "drop.txt");
  files.drop.clear();
  EXPECT_THAT(message(false), HasSubstr("is there already"));
  EXPECT_THAT(message(true), HasSubstr("that the recipe reads"));
}

TEST_F(DroppedRowsTest, ExamplesOfOtherDataAreRefused) {
  SourceFiles files;
  files.train = numbered(4);
  const auto train = read("table", files);
  for (const std::int64_t example : {std::int64_t{-1}, std::int64_t{4}}) {
    const Error error =
        error_of([&] { dropped_rows(files, *train, std::vector<std::int64_t>{example}); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("expected 0 to 3"));
  }
}

// --- tables without rows --------------------------------------------------------------------------

std::string without(const std::string& text,
                    const std::vector<std::size_t>& rows,
                    const std::string& name = "a.csv") {
  return without_rows(text, rows, name, TableFormat::kAuto);
}

TEST(WithoutRows, LinesThatStayAreBytesThatStay) {
  EXPECT_EQ(without("a,b\n1,2\n3,4\n5,6\n", {1}), "a,b\n1,2\n5,6\n");
  EXPECT_EQ(without("a,b\n1,2\n3,4\n5,6\n", {}), "a,b\n1,2\n3,4\n5,6\n");
  EXPECT_EQ(without("a,b\n1,2\n3,4", {1}), "a,b\n1,2\n");
  EXPECT_EQ(without("a,b\n1,2\n3,4", {0}), "a,b\n3,4");
  EXPECT_EQ(without("a\tb\n\"1\t2\n3\t\"4\n", {0}, "a.tsv"), "a\tb\n3\t\"4\n");
  EXPECT_EQ(without("{\"a\": 1}\n{\"a\":2 }\n{\"b\":3}", {1}, "a.jsonl"), "{\"a\": 1}\n{\"b\":3}");
  EXPECT_EQ(without_rows("a\tb\n1\t2\n3\t4\n", std::vector<std::size_t>{0}, "x", TableFormat::kTsv),
            "a\tb\n3\t4\n");
}

TEST(WithoutRows, QuotedFieldsMayHoldLineEndsAndQuotes) {
  const std::string text = "a,b\n\"1\n,\"\"x\"\"\n\",2\n3,\"4\n5\"\n6,\"\"\n7,8\"9\n";
  EXPECT_EQ(without(text, {0}), "a,b\n3,\"4\n5\"\n6,\"\"\n7,8\"9\n");
  EXPECT_EQ(without(text, {1, 3}), "a,b\n\"1\n,\"\"x\"\"\n\",2\n6,\"\"\n");
  EXPECT_EQ(without("\"a\nb\",c\n1,2\n3,4\n", {0}), "\"a\nb\",c\n3,4\n");
  EXPECT_EQ(without("\xef\xbb\xbf\"a\nb\",c\n1,2\n3,4\n", {0}), "\xef\xbb\xbf\"a\nb\",c\n3,4\n");
}

TEST(WithoutRows, LineEndsMarksAndBlankEndsStay) {
  EXPECT_EQ(without("a,b\r\n1,2\r\n\"3\r\n\",4\r\n5,6\r\n\r\n", {0, 2}),
            "a,b\r\n\"3\r\n\",4\r\n\r\n");
  EXPECT_EQ(without("a,b\r1,2\r3,4\r", {0}), "a,b\r3,4\r");
  EXPECT_EQ(without("\xef\xbb\xbf{\"a\": 1}\n{\"a\": 2}\n\n", {0}, "a.jsonl"),
            "\xef\xbb\xbf{\"a\": 2}\n\n");
}

// Whatever is left out: what Table reads of the rest is what it read of those rows.
TEST(WithoutRows, LeavesTheRowsThatTableReads) {
  Rng rng(11);
  const std::vector<std::string> cells = {"1", "", "\"a,b\"", "\"x\ny\"", "\"\"\"\"", "한", "a\"b"};
  for (int round = 0; round < 60; ++round) {
    const std::string end = rng.below(2) == 0 ? "\n" : "\r\n";
    const std::size_t count = 2 + rng.below(12);
    std::string text = "p,q" + end;
    for (std::size_t i = 0; i < count; ++i) {
      text += cells[rng.below(cells.size())] + "," + cells[rng.below(cells.size())] + end;
    }
    std::vector<std::size_t> gone;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < count; ++i) {
      (i > 0 && rng.below(3) == 0 ? gone : kept).push_back(i);
    }
    const Table before = Table::parse(text, "t", TableFormat::kCsv).select(kept);
    const Table after =
        Table::parse(without_rows(text, gone, "t", TableFormat::kCsv), "t", TableFormat::kCsv);
    for (const char* column : {"p", "q"}) {
      EXPECT_EQ(after.text_column(column), before.text_column(column)) << text;
    }
  }
}

TEST(WithoutRows, RefusesWhatCannotBe) {
  const auto message = [](const std::string& text, const std::vector<std::size_t>& rows) {
    return std::string(error_of([&] { without(text, rows); }).what());
  };
  EXPECT_THAT(message("a,b\n1,2\n", {0}), HasSubstr("all 1 rows"));
  EXPECT_THAT(message("a,b\n1,2\n", {1}), HasSubstr("row 1"));
  EXPECT_THAT(message("a,b\n1\n", {0}), HasSubstr("fields"));
  EXPECT_THAT(error_of([] { without("a\n1\n2\n", {0}, "a.bin"); }).what(), HasSubstr("extension"));
}

TEST_F(DroppedRowsTest, CopiesGoElsewhere) {
  const std::string from = numbered(4);
  const std::vector<std::size_t> rows = {1, 2};
  const std::string to = folder_.file("copy.csv");
  copy_without_rows(from, to, rows, TableFormat::kAuto, false);
  EXPECT_EQ(read_file(to), "x,y,g\n0,0,g0\n3,1,g0\n");
  const auto message = [&](const std::string& target, bool replace) {
    return std::string(error_of([&] {
                         copy_without_rows(from, target, rows, TableFormat::kAuto, replace);
                       }).what());
  };
  EXPECT_THAT(message(to, false), HasSubstr("is there already"));
  EXPECT_THAT(message(from, true), HasSubstr("the file itself"));
  std::filesystem::create_symlink(from, folder_.path() / "link.csv");
  EXPECT_THAT(message(folder_.file("link.csv"), true), HasSubstr("the file itself"));
  EXPECT_THAT(message(folder_.file("b.csv.gz"), false), HasSubstr(".gz"));
  copy_without_rows(from, to, std::vector<std::size_t>{0}, TableFormat::kAuto, true);
  EXPECT_EQ(Table::read(to).rows(), 3U);
}

TEST_F(DroppedRowsTest, GzipIsReadAndTextIsWritten) {
  const std::string packed = folder_.file("t.csv.gz");
  gzFile file = gzopen(packed.c_str(), "wb");
  gzputs(file, "a,b\n1,2\n3,4\n");
  gzclose(file);
  EXPECT_EQ(copy_name(packed), "t.csv");
  EXPECT_EQ(copy_name("x/t.tsv"), "t.tsv");
  copy_without_rows(
      packed, folder_.path() / "o.csv", std::vector<std::size_t>{0}, TableFormat::kAuto, false);
  EXPECT_EQ(read_file(folder_.file("o.csv")), "a,b\n3,4\n");
}

TEST_F(DroppedRowsTest, TextFilesAreKnown) {
  SourceFiles files;
  files.train = numbered(4);
  EXPECT_TRUE(read("table", files)->is_text());
  files.train = write("p.tsv", "sentence1\tsentence2\na b\tb\nc d\td\n");
  EXPECT_TRUE(read("pairs", files)->is_text());
}

}  // namespace
}  // namespace detente::data
