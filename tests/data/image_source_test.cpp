// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/image_source.h>
#include <detente/data/picked_rows.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
namespace fs = std::filesystem;
using test::idx_file;
using test::noise;
using test::png_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ImageSourceTest : public ::testing::Test {
 protected:
  static void set(ImageSource& source, const std::string& key, const std::string& value) {
    set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
  }
  static ImageSource with(const std::vector<std::pair<std::string, std::string>>& options) {
    ImageSource source;
    for (const auto& [key, value] : options) set(source, key, value);
    return source;
  }
  std::string path(const std::string& name) const { return folder_.file(name); }
  void write(const std::string& name, const std::string& bytes) {
    fs::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, bytes);
  }
  // n images of 2 x 3 in idx form, image i all of value 10 i, label i % 3.
  void write_idx(const std::string& name, std::uint32_t n) {
    std::string pixels;
    std::string labels;
    for (std::uint32_t i = 0; i < n; ++i) {
      pixels += std::string(6, static_cast<char>(10 * i));
      labels += static_cast<char>(i % 3);
    }
    write(name + "-images-idx3-ubyte", idx_file({n, 2, 3}, pixels));
    write(name + "-labels-idx1-ubyte", idx_file({n}, labels));
  }
  SourceInput input(const std::string& train, std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.train = path(train);
    input.targets = std::move(targets);
    return input;
  }
  std::unique_ptr<Source> dev_of(const ImageSource& train,
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
  static RowList all_rows(const Source& source) {
    RowList rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return rows;
  }
  static std::vector<float> values(const Source& source, const Rng* augment = nullptr) {
    const Batch batch = source.batch(all_rows(source), augment);
    return std::get<std::vector<float>>(array_of(batch, "image").values);
  }
  std::string message(ImageSource source, const SourceInput& input) const {
    return error_of([&] { source.read(input, nullptr); }).what();
  }

  const TargetColumn kLabel{
      .task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 3};
  test::TempDir folder_;
};

TEST_F(ImageSourceTest, ReadsIdxWithItsLabels) {
  write_idx("train", 5);
  ImageSource source;
  source.read(input("train-images-idx3-ubyte", {kLabel}), nullptr);
  EXPECT_EQ(source.size(), 5U);
  EXPECT_EQ(source.shape(), (ImageShape{2, 3, 1}));
  EXPECT_THAT(source.target("label").values, ElementsAre(0, 1, 2, 0, 1));
  const Batch batch = source.batch(RowList{1, 3}, nullptr);
  EXPECT_THAT(array_of(batch, "image").shape, ElementsAre(2, 1, 2, 3));
}

TEST_F(ImageSourceTest, StandardisesOnTheTrainingImages) {
  write_idx("train", 5);
  write_idx("dev", 9);
  ImageSource source;
  source.read(input("train-images-idx3-ubyte", {kLabel}), nullptr);
  EXPECT_EQ(source.means().at(0), 20.0);
  EXPECT_DOUBLE_EQ(source.deviations().at(0), std::sqrt(200.0));
  double sum = 0;
  double squares = 0;
  for (const float value : values(source)) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 30, 0, 1e-6);
  EXPECT_NEAR(squares / 30, 1, 1e-6);
  const auto dev = dev_of(source, "dev-images-idx3-ubyte", {kLabel});
  EXPECT_EQ(values(*dev)[0], static_cast<float>((0 - 20) / std::sqrt(200.0)));
  EXPECT_EQ(dynamic_cast<const ImageSource&>(*dev).means(), source.means());
}

TEST_F(ImageSourceTest, ReloadIsExact) {
  for (int i = 0; i < 4; ++i) {
    write("t/a \"1\"/" + std::to_string(i) + ".png", png_file(noise(5, 4, 3, i)));
    write("t/no/" + std::to_string(i) + ".png", png_file(noise(5, 4, 3, 10 + i)));
  }
  ImageSource train;
  train.read(input("t"), nullptr);
  train.save(folder_.path());
  ImageSource loaded;
  loaded.load(folder_.path());
  EXPECT_EQ(loaded.shape(), train.shape());
  EXPECT_EQ(loaded.means(), train.means());
  EXPECT_EQ(loaded.deviations(), train.deviations());
  EXPECT_THAT(loaded.classes().names(), ElementsAre("a \"1\"", "no"));
  EXPECT_EQ(values(*dev_of(train, "t")), values(*dev_of(loaded, "t")));
  const std::string whole = read_file(folder_.path() / "images.json");
  for (const std::string& bad :
       {std::string(),
        std::string("{}"),
        std::string("[]"),
        std::string("{\"format\":3}"),
        whole.substr(0, whole.size() / 2),
        std::string(whole).replace(whole.find("\"height\": 5"), 11, "\"height\": 0"),
        std::string(whole).replace(whole.find("\"channels\": 3"), 13, "\"channels\": 1"),
        std::string(whole).replace(whole.find("\"no\""), 4, "7")}) {
    folder_.write("images.json", bad);
    EXPECT_EQ(error_of([&] { loaded.load(folder_.path()); }).code(), ErrorCode::kData) << bad;
    EXPECT_EQ(loaded.means(), train.means()) << "nothing half-done";
  }
}

TEST_F(ImageSourceTest, FoldersAreClasses) {
  for (const char* name : {"zebra/1.png", "zebra/2.PNG", "ant/1.png", "ant/2.png", "ant/3.png"}) {
    write(std::string("t/") + name, png_file(noise(3, 3, 1, 1)));
  }
  write("t/ant/notes.md", "x");
  write("t/.hidden/1.png", "x");
  TargetColumn label = kLabel;
  ImageSource source;
  source.read(input("t", {label}), nullptr);
  EXPECT_THAT(source.classes().names(), ElementsAre("ant", "zebra"));
  EXPECT_THAT(source.target("label").values, ElementsAre(0, 1, 0, 1, 0)) << "turn by turn";
  EXPECT_THAT(source.warnings(), ElementsAre(AllOf(HasSubstr("notes.md"), HasSubstr("left out"))));
  EXPECT_EQ(source.shown()[0].cells[1], "zebra/1.png");
  EXPECT_EQ(source.shown()[1].cells[1], "zebra");
  // Names in another order are the recipe's business.
  label.class_names = {"zebra", "ant"};
  source.read(input("t", {label}), nullptr);
  EXPECT_THAT(source.target("label").values, ElementsAre(1, 0, 1, 0, 1));
  label.class_names.clear();
  label.classes = 1;
  EXPECT_THAT(message({}, input("t", {label})), HasSubstr("but there are 2: ant, zebra"));
}

TEST_F(ImageSourceTest, DevHasNoOtherClassesThanTrain) {
  write("t/ant/1.png", png_file(noise(3, 3, 1, 1)));
  write("t/bee/1.png", png_file(noise(3, 3, 1, 2)));
  write("d/bee/1.png", png_file(noise(3, 3, 1, 3)));
  write("e/aunt/1.png", png_file(noise(3, 3, 1, 3)));
  write("flat/1.png", png_file(noise(3, 3, 1, 3)));
  ImageSource train;
  train.read(input("t", {kLabel}), nullptr);
  EXPECT_THAT(dev_of(train, "d", {kLabel})->target("label").values, ElementsAre(1));
  EXPECT_THAT(error_of([&] { dev_of(train, "e", {kLabel}); }).what(),
              AllOf(HasSubstr("aunt"), HasSubstr("'ant'")));
  // For prediction neither classes nor folders are needed.
  EXPECT_EQ(dev_of(train, "e")->size(), 1U);
  EXPECT_EQ(dev_of(train, "flat")->size(), 1U);
  EXPECT_THAT(error_of([&] { dev_of(train, "flat", {kLabel}); }).what(), HasSubstr("per class"));
}

TEST_F(ImageSourceTest, ListsHaveAnyNumberOfTargets) {
  write("pics/a.png", png_file(noise(3, 3, 3, 1)));
  write("pics/b.png", png_file(noise(3, 3, 3, 2)));
  write("list.csv", "image,age,kind\npics/a.png,30,x\n\"pics/b.png\",,y\n");
  ImageSource source;
  source.read(input("list.csv",
                    {{.task = "age", .column = "age"},
                     {.task = "kind",
                      .column = "kind",
                      .kind = TaskKind::kClasses,
                      .classes = 2,
                      .class_names = {"y", "x"}}}),
              nullptr);
  EXPECT_EQ(source.size(), 2U);
  EXPECT_EQ(source.target("age").missing, 1U);
  EXPECT_THAT(source.target("kind").values, ElementsAre(1, 0));
  EXPECT_EQ(source.shown().size(), 3U);

  write("lost.csv", "image,age\npics/a.png,1\npics/c.png,2\n");
  EXPECT_THAT(message({}, input("lost.csv")),
              AllOf(HasSubstr("pics/c.png"), HasSubstr("line 3"), HasSubstr("lost.csv")));
  write("blank.csv", "image,age\n ,1\n");
  EXPECT_THAT(message({}, input("blank.csv")), HasSubstr("line 2"));
  write("other.csv", "picture,age\npics/a.png,1\n");
  EXPECT_THAT(message({}, input("other.csv")), HasSubstr("no column 'image'"));
  ImageSource named = with({{"image", "picture"}});
  named.read(input("other.csv"), nullptr);
  EXPECT_EQ(named.size(), 1U);
  write("pics/text.png", "no png");
  write("bad.csv", "image\npics/text.png\n");
  EXPECT_THAT(message({}, input("bad.csv")), AllOf(HasSubstr("text.png"), HasSubstr("line 2")));
}

TEST_F(ImageSourceTest, SizesMustAgreeOrBeBroughtToOne) {
  write("t/a/1.png", png_file(noise(4, 6, 1, 1)));
  write("t/a/2.png", png_file(noise(5, 6, 1, 2)));
  EXPECT_THAT(message({}, input("t")),
              AllOf(HasSubstr("2.png"), HasSubstr("5 x 6"), HasSubstr("data.resize")));
  for (const char* how : {"stretch", "crop"}) {
    ImageSource source = with({{"resize", how}});
    source.read(input("t"), nullptr);
    EXPECT_EQ(source.shape(), (ImageShape{4, 6, 1})) << "the first one's";
    ImageSource sized = with({{"resize", how}, {"size", "[8, 2]"}, {"channels", "3"}});
    sized.read(input("t"), nullptr);
    EXPECT_EQ(sized.shape(), (ImageShape{8, 2, 3}));
    EXPECT_EQ(dynamic_cast<const ImageSource&>(*dev_of(sized, "t")).shape(), sized.shape());
  }
  EXPECT_THAT(message(with({{"size", "[8]"}}), input("t")), HasSubstr("data.size"));
  EXPECT_THAT(message(with({{"size", "[8.5, 8]"}}), input("t")), HasSubstr("data.size"));
}

TEST_F(ImageSourceTest, ColoursAreKeptWhereAnyImageHasThem) {
  write("t/a/1.png", png_file(noise(4, 4, 1, 1)));
  write("t/a/2.png", png_file(noise(4, 4, 3, 2)));
  write("g/a/1.png", png_file(noise(4, 4, 1, 1)));
  ImageSource mixed;
  mixed.read(input("t"), nullptr);
  EXPECT_EQ(mixed.shape().channels, 3U);
  EXPECT_EQ(dynamic_cast<const ImageSource&>(*dev_of(mixed, "g")).shape().channels, 3U);
  ImageSource grey = with({{"channels", "1"}});
  grey.read(input("t"), nullptr);
  EXPECT_EQ(grey.shape().channels, 1U);
  ImageSource plain;
  plain.read(input("g"), nullptr);
  EXPECT_EQ(plain.shape().channels, 1U);
}

TEST_F(ImageSourceTest, ThreadsDoNotShow) {
  for (int i = 0; i < 23; ++i) {
    write("t/a/" + std::to_string(100 + i) + ".png", png_file(noise(6, 6, 3, i)));
  }
  const auto read = [&](int threads) {
    ImageSource source;
    SourceInput files = input("t");
    files.threads = threads;
    source.read(files, nullptr);
    return source.digest();
  };
  EXPECT_EQ(read(1), read(4));
  for (const int broken : {20, 5}) {
    write("t/a/" + std::to_string(100 + broken) + ".png", "x");
  }
  for (int i = 0; i < 5; ++i) EXPECT_THAT(message({}, input("t")), HasSubstr("105.png"));
}

TEST_F(ImageSourceTest, RefusesWhatIsNoDataSet) {
  write("empty", "");
  EXPECT_THAT(message({}, input("empty")), HasSubstr("neither an idx"));
  write("one.png", png_file(noise(4, 4, 1, 1)));
  EXPECT_THAT(message({}, input("one.png")), HasSubstr("single picture"));
  fs::create_directories(folder_.path() / "none");
  EXPECT_THAT(message({}, input("none")), HasSubstr("holds no image"));
  fs::create_directories(folder_.path() / "classes/a");
  write("classes/b/1.png", png_file(noise(4, 4, 1, 1)));
  EXPECT_THAT(message({}, input("classes")), AllOf(HasSubstr("classes/a"), HasSubstr("no image")));
  fs::remove(folder_.path() / "classes/a");
  write("classes/2.png", png_file(noise(4, 4, 1, 1)));
  EXPECT_THAT(message({}, input("classes")), HasSubstr("beside the folders"));
  EXPECT_EQ(error_of([&] { ImageSource().read(input("missing"), nullptr); }).code(),
            ErrorCode::kIo);
  write_idx("x", 4);
  write("x-labels-idx1-ubyte", idx_file({3}, "\1\1\1"));
  EXPECT_THAT(message({}, input("x-images-idx3-ubyte")), HasSubstr("3 labels for the 4 images"));
  fs::remove(folder_.path() / "x-labels-idx1-ubyte");
  EXPECT_EQ(error_of([&] { ImageSource().read(input("x-images-idx3-ubyte"), nullptr); }).code(),
            ErrorCode::kIo);
  write("pictures", idx_file({1, 1, 1}, "a"));
  EXPECT_THAT(message({}, input("pictures")), HasSubstr("where are the labels"));
}

TEST_F(ImageSourceTest, LinksAreFollowedAndBrokenOnesNamed) {
  write("t/a/1.png", png_file(noise(4, 4, 1, 1)));
  fs::create_symlink("1.png", folder_.path() / "t/a/2.png");
  ImageSource source;
  source.read(input("t"), nullptr);
  EXPECT_EQ(source.size(), 2U);
  fs::create_symlink("nowhere", folder_.path() / "t/a/3.png");
  EXPECT_THAT(message({}, input("t")), HasSubstr("3.png"));
  fs::remove(folder_.path() / "t/a/3.png");
  fs::create_directory_symlink("../a", folder_.path() / "t/a/4.png");
  EXPECT_THAT(message({}, input("t")), HasSubstr("4.png")) << "a folder named like an image";
}

TEST_F(ImageSourceTest, ClassFilesNameClassesAndGiveFurtherTargets) {
  write_idx("train", 5);
  write("classes.csv", "name,even\nnull,yes\none,no\n\"two, 2\",yes\n");
  write("classes.txt", "zero\r\none\r\ntwo\r\n\r\n");
  ImageSource source = with({{"class_file", path("classes.csv")}});
  source.read(input("train-images-idx3-ubyte",
                    {kLabel,
                     {.task = "even",
                      .column = "even",
                      .kind = TaskKind::kClasses,
                      .classes = 2,
                      .class_names = {"no", "yes"}}}),
              nullptr);
  EXPECT_THAT(source.target("label").values, ElementsAre(0, 1, 2, 0, 1)) << "null is a class";
  EXPECT_THAT(source.target("even").values, ElementsAre(1, 0, 1, 1, 0));
  ImageSource lines = with({{"class_file", path("classes.txt")}});
  lines.read(input("train-images-idx3-ubyte", {kLabel}), nullptr);
  EXPECT_THAT(lines.classes().names(), ElementsAre("zero", "one", "two"));

  write("two.txt", "a\nb\n");
  EXPECT_THAT(message(with({{"class_file", path("two.txt")}}), input("train-images-idx3-ubyte")),
              AllOf(HasSubstr("label 2"), HasSubstr("image 2")));
  for (const char* bad : {"", "a\na\n", "a\n\nb\n", "\xff\n"}) {
    write("bad.txt", bad);
    EXPECT_EQ(error_of([&] { read_class_file(path("bad.txt")); }).code(), ErrorCode::kData) << bad;
  }
  write("bad.csv", "name,image\na,b\n");
  EXPECT_EQ(error_of([&] { read_class_file(path("bad.csv")); }).code(), ErrorCode::kData);
}

TEST_F(ImageSourceTest, CifarInSeveralFiles) {
  for (int i = 1; i <= 2; ++i) {
    std::string record(1, static_cast<char>(i));
    record += std::string(3072, static_cast<char>(10 * i));
    write("batch_" + std::to_string(i) + ".bin", record + record);
  }
  ImageSource source;
  TargetColumn label = kLabel;
  label.classes = 10;
  source.read(input("batch_*.bin", {label}), nullptr);
  EXPECT_EQ(source.shape(), (ImageShape{32, 32, 3}));
  EXPECT_THAT(source.target("label").values, ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(message({}, input("none_*.bin")), HasSubstr("whatever the *"));
}

TEST_F(ImageSourceTest, SplitsAndLimitsLikeTables) {
  write_idx("train", 20);
  SourceInput files = input("train-images-idx3-ubyte", {kLabel});
  files.files.split = {.dev = 0.25, .seed = 3};
  files.files.max_rows = 7;
  ImageSource train;
  train.read(files, nullptr);
  EXPECT_EQ(train.size(), 7U);
  files.part = Part::kDev;
  const auto dev = train.fresh();
  dev->read(files, &train);
  EXPECT_EQ(dev->size(), 5U);
  const auto held_out = dev->shown();
  const auto kept = train.shown();
  for (const std::string& cell : held_out[0].cells) {
    for (const std::string& other : kept[0].cells) EXPECT_NE(cell, other);
  }
}

TEST_F(ImageSourceTest, MemoryHasABound) {
  std::string pixels(1100 * 1000, 'a');
  write("b-images-idx3-ubyte", idx_file({1100, 100, 10}, pixels));
  write("b-labels-idx1-ubyte", idx_file({1100}, std::string(1100, '\1')));
  EXPECT_THAT(message(with({{"memory", "1"}}), input("b-images-idx3-ubyte")),
              AllOf(HasSubstr("take 2 MiB"), HasSubstr("data.memory")));
  ImageSource few = with({{"memory", "1"}});
  SourceInput files = input("b-images-idx3-ubyte");
  files.files.max_rows = 1000;
  EXPECT_NO_THROW(few.read(files, nullptr));
}

TEST_F(ImageSourceTest, AConstantChannelIsAWarning) {
  write("c-images-idx3-ubyte", idx_file({2, 1, 2}, "aaaa"));
  write("c-labels-idx1-ubyte", idx_file({2}, "\1\2"));
  ImageSource source;
  source.read(input("c-images-idx3-ubyte"), nullptr);
  EXPECT_THAT(source.warnings(), ElementsAre(HasSubstr("97 everywhere")));
  for (const float value : values(source)) EXPECT_NEAR(value, 0, 1e-9);
}

TEST_F(ImageSourceTest, OverlayPutsTwoOnOneCanvas) {
  write_idx("train", 7);
  ImageSource source = with({{"overlay", "5"}, {"overlay_seed", "4"}});
  TargetColumn left = kLabel;
  left.task = "left";
  left.column = "left_label";
  TargetColumn right = left;
  right.task = "right";
  right.column = "right_label";
  source.read(input("train-images-idx3-ubyte", {left, right}), nullptr);
  EXPECT_EQ(source.shape(), (ImageShape{5, 5, 1}));
  const auto shown = source.shown();
  ASSERT_EQ(shown.size(), 4U);
  EXPECT_EQ(shown[0].name, "left_image");
  for (std::size_t i = 0; i < 7; ++i) {
    const auto partner = static_cast<std::size_t>(std::stoul(shown[2].cells[i]));
    EXPECT_EQ(source.target("left").values[i], static_cast<double>(i % 3));
    EXPECT_EQ(source.target("right").values[i], static_cast<double>(partner % 3));
    const Image example = source.example(i);
    for (std::size_t y = 0; y < 5; ++y) {
      for (std::size_t x = 0; x < 5; ++x) {
        const std::size_t a = y < 2 && x < 3 ? 10 * i : 0;
        const std::size_t b = y >= 3 && x >= 2 ? 10 * partner : 0;
        EXPECT_EQ(example.values[y * 5 + x], std::max(a, b));
      }
    }
  }
  ImageSource again = with({{"overlay", "5"}, {"overlay_seed", "4"}});
  again.read(input("train-images-idx3-ubyte"), nullptr);
  EXPECT_EQ(values(again), values(source));
  ImageSource other = with({{"overlay", "5"}, {"overlay_seed", "5"}});
  other.read(input("train-images-idx3-ubyte"), nullptr);
  EXPECT_NE(values(other), values(source));
  EXPECT_THAT(message(with({{"overlay", "2"}}), input("train-images-idx3-ubyte")),
              HasSubstr("data.overlay"));
  EXPECT_THAT(source.named_inputs(), ElementsAre("left_image", "right_image"));
}

TEST_F(ImageSourceTest, AugmentsTrainingExamplesByTheGeneratorAlone) {
  for (int i = 0; i < 6; ++i) {
    write("t/a/" + std::to_string(i) + ".png", png_file(noise(8, 8, 3, i)));
  }
  ImageSource source = with({{"augment.flip", "true"},
                             {"augment.crop", "2"},
                             {"augment.erase", "0.5"},
                             {"augment.jitter", "0.2"}});
  source.read(input("t"), nullptr);
  const auto changed = [&](std::uint64_t seed) {
    Rng rng(seed);
    return values(source, &rng);
  };
  EXPECT_EQ(changed(1), changed(1));
  EXPECT_NE(changed(1), changed(2));
  EXPECT_NE(changed(1), values(source));
  EXPECT_EQ(changed(1).size(), values(source).size());
  ImageSource plain;
  plain.read(input("t"), nullptr);
  Rng rng(1);
  EXPECT_EQ(values(plain, &rng), values(plain));
  EXPECT_EQ(plain.digest(), source.digest()) << "augmentation is no part of the examples";
  EXPECT_THAT(source.fresh()->targets(), IsEmpty());
  // A row's changes are its own, and so are those of a row picked from it.
  test::expect_rows_draw_alone(source, {4, 1, 5, 0}, Rng(7));
  const PickedRows picked(source, {5, 2});
  const Rng own(7);
  EXPECT_EQ(array_of(picked.batch(RowList{1, 0}, &own), "image").values,
            array_of(source.batch(RowList{2, 5}, &own), "image").values);
}

}  // namespace
}  // namespace detente::data
