// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/data/array_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_npy.h>

#include <cmath>
#include <filesystem>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using test::npy_file;
using test::raw_bytes;
using test::zip_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::filesystem::path kGolden =
    std::filesystem::path(DETENTE_SOURCE_DIR) / "tests" / "golden" / "numpy";

std::vector<double> numbers(const ArrayFile& file, const std::string& name) {
  const auto loaded = file.load(name);
  const NpyContent content = loaded.content();
  const ArrayEntries entries(content);
  std::vector<double> out;
  for (std::size_t i = 0; i < entries.size(); ++i) out.push_back(entries.number(i));
  return out;
}

std::vector<std::string> cells(const ArrayFile& file, const std::string& name) {
  const auto loaded = file.load(name);
  const NpyContent content = loaded.content();
  const ArrayEntries entries(content);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < entries.size(); ++i) out.push_back(entries.cell(i));
  return out;
}

TEST(ArrayFile, ReadsWhatNumpyWrote) {
  for (const char* archive : {"stored.npz", "packed.npz"}) {
    const ArrayFile file(kGolden / archive, "X");
    for (const char* name : {"i1",
                             "i2",
                             "i4",
                             "i8",
                             "u1",
                             "u2",
                             "u4",
                             "u8",
                             "f2",
                             "f4",
                             "f8",
                             "big_i4",
                             "big_f8",
                             "big_f2",
                             "big_u2"}) {
      EXPECT_THAT(numbers(file, name), ElementsAre(0, 1, 2, 3, 4, 100)) << name;
      EXPECT_THAT(cells(file, name), ElementsAre("0", "1", "2", "3", "4", "100")) << name;
    }
    std::vector<double> places(24);
    std::iota(places.begin(), places.end(), 0.0);
    EXPECT_EQ(numbers(file, "fortran"), places);
    EXPECT_THAT(numbers(file, "truth"), ElementsAre(1, 0, 1));
    EXPECT_THAT(cells(file, "words"), ElementsAre("개", "a cat", ""));
    EXPECT_THAT(cells(file, "bytes"), ElementsAre("dog", "ox"));
    const auto halves = numbers(file, "halves");
    EXPECT_THAT(std::vector<double>(halves.begin(), halves.begin() + 2), ElementsAre(1.5, -2));
    EXPECT_EQ(halves[2], std::ldexp(1, -24));
    EXPECT_TRUE(std::isinf(halves[3]) && std::isnan(halves[4]));
    EXPECT_EQ(halves[5], 65504);
    EXPECT_THAT(cells(file, "whole"), ElementsAre("9223372036854775807", "-9223372036854775808"));
    EXPECT_THAT(numbers(file, "scalar"), ElementsAre(7));
    EXPECT_TRUE(numbers(file, "none").empty());
  }
  const ArrayFile objects(kGolden / "objects.npz", "X");
  EXPECT_THAT(std::string(error_of([&] { numbers(objects, "objects"); }).what()),
              AllOf(HasSubstr("'objects' of '"), HasSubstr("objects.npz'"), HasSubstr("pickle")));
}

class ArraySourceTest : public ::testing::Test {
 protected:
  using Options = std::vector<std::pair<std::string, std::string>>;
  static ArraySource with(const Options& options) {
    ArraySource source;
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
    }
    return source;
  }
  std::string path(const std::string& name) const { return folder_.file(name); }
  SourceInput input(const std::string& train, std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.train = path(train);
    input.targets = std::move(targets);
    return input;
  }
  std::unique_ptr<Source> dev_of(const ArraySource& train,
                                 const std::string& file,
                                 std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.dev = path(file);
    input.part = Part::kDev;
    input.targets = std::move(targets);
    auto dev = train.fresh();
    dev->read(input, &train);
    return dev;
  }
  static std::vector<float> values(const Source& source, const char* name) {
    RowList rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return std::get<std::vector<float>>(array_of(source.batch(rows, nullptr), name).values);
  }
  std::string message(const SourceInput& input, ArraySource source = {}) const {
    return error_of([&] { source.read(input, nullptr); }).what();
  }
  static std::string npy(const std::string& shape, const std::vector<double>& values) {
    return npy_file("<f8", shape, raw_bytes(values));
  }

  const TargetColumn kY{.task = "t", .column = "y"};
  test::TempDir folder_;
};

TEST_F(ArraySourceTest, StandardisesColumnsAndMarksMissingNumbers) {
  folder_.write("X.npy", npy("(4, 2)", {1, 5, 2, kNan, 3, 7, 4, 9}));
  folder_.write("y.npy", npy("(4,)", {1, 2, kNan, 4}));
  ArraySource source;
  source.read(input("X.npy", {kY}), nullptr);
  EXPECT_THAT(source.sides(), ElementsAre(2));
  EXPECT_THAT(source.means(), ElementsAre(2.5, 7));
  EXPECT_THAT(source.marked(), ElementsAre(1));
  const double wide = std::sqrt(1.25);
  const double other = std::sqrt(8.0 / 3);
  const auto numbers = values(source, "numbers");
  const std::vector<double> expected = {
      -1.5 / wide, -2 / other, -0.5 / wide, 0, 0.5 / wide, 0, 1.5 / wide, 2 / other};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(numbers[i], static_cast<float>(expected[i]));
  const Batch batch = source.batch(RowList{0, 1}, nullptr);
  EXPECT_THAT(std::get<std::vector<std::uint8_t>>(array_of(batch, "missing").values),
              ElementsAre(0, 1));
  EXPECT_EQ(source.target("t").missing, 1U);
  EXPECT_EQ(source.target("t").values[3], 4);
  EXPECT_EQ(source.shown().at(0).name, "example");
  EXPECT_EQ(source.shown().at(1).cells.at(2), "NaN");
  // A file of another scale is seen with the training's.
  folder_.write("X_new.npy", npy_file("<i8", "(1, 2)", raw_bytes<std::int64_t>({1, 7})));
  const auto dev = dev_of(source, "X_new.npy");
  EXPECT_FLOAT_EQ(values(*dev, "numbers")[0], static_cast<float>(-1.5 / wide));
  EXPECT_FLOAT_EQ(values(*dev, "numbers")[1], 0);
  // What was fitted comes back exactly.
  source.save(folder_.path());
  auto loaded = source.fresh();
  loaded->load(folder_.path());
  EXPECT_EQ(values(*dev_of(static_cast<ArraySource&>(*loaded), "X.npy"), "numbers"), numbers);
  folder_.write("arrays.json", R"({"format": "detente-arrays-1", "sides": [2], "means": [1]})");
  EXPECT_THAT(std::string(error_of([&] { loaded->load(folder_.path()); }).what()),
              HasSubstr("damaged"));
}

TEST_F(ArraySourceTest, LayoutsOfOneArrayAreSeenAlike) {
  // Channel c of pixel p is 10 c + p.
  std::vector<double> first;
  std::vector<double> last;
  for (int n = 0; n < 2; ++n) {
    for (int c = 0; c < 3; ++c) {
      for (int p = 0; p < 4; ++p) first.push_back(10 * c + p + n);
    }
    for (int p = 0; p < 4; ++p) {
      for (int c = 0; c < 3; ++c) last.push_back(10 * c + p + n);
    }
  }
  folder_.write("first.npz", zip_file({{"X.npy", npy("(2, 3, 2, 2)", first)}}));
  folder_.write("last.npz", zip_file({{"X.npy", npy("(2, 2, 2, 3)", last)}}));
  ArraySource a;
  a.read(input("first.npz"), nullptr);
  ArraySource b = with({{"layout", "channels_last"}});
  b.read(input("last.npz"), nullptr);
  EXPECT_THAT(a.sides(), ElementsAre(3, 2, 2));
  EXPECT_EQ(a.sides(), b.sides());
  EXPECT_EQ(a.means(), b.means());
  EXPECT_EQ(values(a, "image"), values(b, "image"));
  ArraySource stored = with({{"layout", "channels_last"}, {"scale", "stored"}});
  stored.read(input("last.npz"), nullptr);
  EXPECT_EQ(values(stored, "image"), std::vector<float>(first.begin(), first.end()));
  folder_.write("grey.npz", zip_file({{"X.npy", npy("(2, 4, 3)", first)}}));
  ArraySource grey = with({{"layout", "no_channels"}});
  grey.read(input("grey.npz"), nullptr);
  EXPECT_THAT(grey.sides(), ElementsAre(1, 4, 3));
  ArraySource series;
  series.read(input("grey.npz"), nullptr);
  EXPECT_THAT(array_of(series.batch(RowList{1}, nullptr), "series").shape, ElementsAre(1, 4, 3));
}

TEST_F(ArraySourceTest, AFileMayHaveItsOwnParts) {
  const auto rows = [&](int n) {
    std::vector<double> x(static_cast<std::size_t>(n));
    std::iota(x.begin(), x.end(), 0.0);
    return npy("(" + std::to_string(n) + ",)", x);
  };
  folder_.write("m.npz",
                zip_file({{"train_X.npy", rows(5)},
                          {"train_y.npy", rows(5)},
                          {"val_X.npy", rows(3)},
                          {"val_y.npy", rows(3)}}));
  SourceInput parts = input("m.npz", {kY});
  parts.files.own_parts = true;
  ArraySource train;
  train.read(parts, nullptr);
  EXPECT_EQ(train.size(), 5U);
  parts.part = Part::kDev;
  auto dev = train.fresh();
  dev->read(parts, &train);
  EXPECT_EQ(dev->size(), 3U);
  parts.part = Part::kTest;
  EXPECT_THAT(std::string(error_of([&] { train.fresh()->read(parts, &train); }).what()),
              AllOf(HasSubstr("m.npz"), HasSubstr("'X_test'"), HasSubstr("data.split.test")));
  // The same as files in a folder, and named one by one.
  std::filesystem::create_directories(folder_.path() / "f");
  for (const char* name : {"X_train", "y_train", "X_dev", "y_dev"}) {
    folder_.write(std::string("f/") + name + ".npy", rows(name[2] == 't' ? 5 : 3));
  }
  SourceInput of_folder = input("f", {kY});
  of_folder.files.own_parts = true;
  train.read(of_folder, nullptr);
  EXPECT_EQ(train.size(), 5U);
  ArraySource single;
  single.read(input("f/X_train.npy", {kY}), nullptr);
  EXPECT_EQ(single.target("t").values.size(), 5U);
  EXPECT_EQ(dev_of(single, "f/X_dev.npy", {kY})->target("t").values.size(), 3U);
}

TEST_F(ArraySourceTest, TargetsAreColumnsAndWordsToo) {
  folder_.write(
      "d.npz",
      zip_file({{"X.npy", npy("(3, 1)", {1, 2, 3})},
                {"y.npy", npy_file("<i4", "(3, 2)", raw_bytes<std::int32_t>({1, 2, 3, 4, 5, 6}))},
                {"flag.npy", npy_file("|b1", "(3,)", std::string("\1\0\1", 3))},
                {"word.npy",
                 npy_file("|S3",
                          "(3, 1)",
                          std::string("cat"
                                      "ox\0"
                                      "cat",
                                      9))}}));
  ArraySource source;
  source.read(input("d.npz",
                    {{.task = "second", .column = "y.1"},
                     {.task = "flag", .column = "flag", .kind = TaskKind::kBinary},
                     {.task = "both", .columns = {"y.0", "y.1"}},
                     {.task = "word",
                      .column = "word",
                      .kind = TaskKind::kClasses,
                      .classes = 2,
                      .class_names = {"ox", "cat"}}}),
              nullptr);
  EXPECT_THAT(source.target("second").values, ElementsAre(2, 4, 6));
  EXPECT_THAT(source.target("flag").values, ElementsAre(1, 0, 1));
  EXPECT_THAT(source.target("word").values, ElementsAre(1, 0, 1));
  EXPECT_THAT(source.target("both").values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(message(input("d.npz", {kY})), AllOf(HasSubstr("'y' of '"), HasSubstr("y.0")));
  EXPECT_THAT(message(input("d.npz", {{.task = "t", .column = "y.2"}})), HasSubstr("column 2"));
  EXPECT_THAT(message(input("d.npz", {{.task = "t", .column = "flags"}})),
              AllOf(HasSubstr("task 't'"), HasSubstr("Did you mean 'flag'")));
}

TEST_F(ArraySourceTest, SaysWhatIsWrongWithAFile) {
  const auto of = [&](const std::string& x, const std::string& y = "") {
    std::vector<std::pair<std::string, std::string>> members = {{"X.npy", x}};
    if (!y.empty()) members.emplace_back("y.npy", y);
    folder_.write("a.npz", zip_file(members));
    return message(input("a.npz", y.empty() ? std::vector<TargetColumn>() : std::vector{kY}));
  };
  const std::string good = npy("(2, 1)", {1, 2});
  EXPECT_THAT(of(good, npy("(3,)", {1, 2, 3})),
              AllOf(HasSubstr("'y' of '"), HasSubstr("(3,)"), HasSubstr("2 examples")));
  EXPECT_THAT(of(good, npy("(2, 1, 2)", {1, 2, 3, 4})), HasSubstr("(2, 1, 2)"));
  EXPECT_THAT(of(good.substr(0, good.size() - 1)),
              AllOf(HasSubstr("'X' of '"), HasSubstr("a.npz'"), HasSubstr("cut short")));
  EXPECT_THAT(of(npy_file("|O", "(1,)", "x")), HasSubstr("pickle"));
  EXPECT_THAT(of(npy_file("<c8", "(1,)", "12345678")), HasSubstr("'<c8'"));
  EXPECT_THAT(of(npy_file("<M8[ns]", "(1,)", "12345678")), HasSubstr("'<M8[ns]'"));
  EXPECT_THAT(of(npy_file("|S2", "(1,)", "ab")), HasSubstr("holds texts"));
  EXPECT_THAT(of(npy("()", {1})), HasSubstr("dimensions"));
  EXPECT_THAT(of(npy("(0, 3)", {})), HasSubstr("holds nothing"));
  EXPECT_THAT(of(npy("(1, 1)", {1e300})), HasSubstr("1e+300 in example 0"));
  EXPECT_THAT(of(npy("(1, 1, 1)", {kNan})), HasSubstr("nan in example 0"));
  EXPECT_THAT(of(good, npy("(2,)", {kNan, kNan})), HasSubstr("missing in all"));
  folder_.write("b.npz", zip_file({{"Z.npy", good}}));
  EXPECT_THAT(message(input("b.npz")), AllOf(HasSubstr("no array 'X'"), HasSubstr("Z")));
  folder_.write("c.npz", zip_file({{"a.txt", "x"}}));
  EXPECT_THAT(message(input("c.npz")), HasSubstr("holds no array"));
  folder_.write("d.csv", "X,y\n1,2\n");
  EXPECT_THAT(message(input("d.csv")), HasSubstr("neither a .npy nor a .npz"));
  folder_.write("X.npy", good);
  EXPECT_THAT(message(input("X.npy", {kY})), HasSubstr("no array 'y'"));
  EXPECT_THAT(message(input("missing.npy")), HasSubstr("missing.npy"));
  std::filesystem::create_directories(folder_.path() / "empty");
  EXPECT_THAT(message(input("empty")), HasSubstr("no .npy file"));
  folder_.write("big.npy", npy_file("<f4", "(1, 300000)", std::string(1200000, '\0')));
  EXPECT_THAT(message(input("big.npy"), with({{"memory", "1"}})),
              HasSubstr("data.memory allows 1"));
  ArraySource train;
  train.read(input("X.npy"), nullptr);
  folder_.write("X_wide.npy", npy("(1, 2)", {1, 2}));
  EXPECT_THAT(std::string(error_of([&] { dev_of(train, "X_wide.npy"); }).what()),
              AllOf(HasSubstr("X_wide.npy"), HasSubstr("(1,)")));
}

TEST_F(ArraySourceTest, ConstantAndHugeColumnsStayFinite) {
  folder_.write("X.npy", npy("(3, 3)", {7, 1e38, kNan, 7, -1e38, kNan, 7, 1e38, kNan}));
  ArraySource source;
  source.read(input("X.npy"), nullptr);
  for (const float value : values(source, "numbers")) EXPECT_TRUE(std::isfinite(value));
  EXPECT_THAT(source.warnings().at(0), HasSubstr("2 of 3 columns"));
  folder_.write("X_far.npy", npy("(1, 3)", {3e38, 0, 0}));
  EXPECT_EQ(values(*dev_of(source, "X_far.npy"), "numbers")[0], 1e6F);
}

TEST_F(ArraySourceTest, SplitsByShareAndGroup) {
  std::vector<double> x(20);
  std::iota(x.begin(), x.end(), 0.0);
  std::vector<double> group;
  for (int i = 0; i < 20; ++i) group.push_back(i / 4);
  folder_.write("g.npz",
                zip_file({{"X.npy", npy("(20,)", x)},
                          {"y.npy", npy("(20,)", x)},
                          {"who.npy", npy("(20,)", group)}}));
  SourceInput parts = input("g.npz", {kY});
  parts.files.own_parts = true;
  parts.files.split.dev = 0.4;
  parts.files.split.group = "who";
  ArraySource train;
  train.read(parts, nullptr);
  parts.part = Part::kDev;
  auto dev = train.fresh();
  dev->read(parts, &train);
  EXPECT_EQ(train.size() + dev->size(), 20U);
  for (const double a : train.target("t").values) {
    for (const double b : dev->target("t").values) EXPECT_NE(std::floor(a / 4), std::floor(b / 4));
  }
  parts.files.split.group.clear();
  parts.files.split.dev = 0;
  parts.files.split.column = "who";
  EXPECT_THAT(message(parts), HasSubstr("data.split.column"));
}

}  // namespace
}  // namespace detente::data
