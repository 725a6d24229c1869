// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/video_file.h>
#include <detente/data/video_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_images.h>
#include <tests/support/write_npy.h>
#ifdef DETENTE_HAS_FFMPEG
#include <tests/support/write_video.h>
#endif

#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

namespace detente::data {
namespace {

using test::error_of;
using test::npy_file;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VideoSourceTest : public ::testing::Test {
 protected:
  using Options = std::vector<std::pair<std::string, std::string>>;
  static VideoSource with(const Options& options) {
    VideoSource source;
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
    }
    return source;
  }
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, bytes);
  }
  std::string path(const std::string& name) const { return folder_.file(name); }
  SourceInput input(const std::string& train, std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.train = path(train);
    input.targets = std::move(targets);
    return input;
  }
  std::unique_ptr<Source> dev_of(const VideoSource& train,
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
  // Before standardisation.
  static std::vector<int> clip(const VideoSource& source,
                               std::size_t row,
                               const Rng* augment = nullptr) {
    const Batch batch = source.batch(RowList{row}, augment);
    const auto& values = std::get<std::vector<float>>(array_of(batch, "clip").values);
    const std::size_t plane = values.size() / source.shape().channels;
    std::vector<int> out;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t c = i / plane;
      out.push_back(static_cast<int>(std::lround(
          static_cast<double>(values[i]) * source.deviations()[c] + source.means()[c])));
    }
    return out;
  }
  std::string message(const SourceInput& input, VideoSource source = {}) const {
    return error_of([&] { source.read(input, nullptr); }).what();
  }
  // [t, 1, 2]: frame i has 10 i and 10 i + 1.
  static std::string counting(int frames, int first = 0) {
    std::string bytes;
    for (int t = 0; t < frames; ++t) {
      bytes += static_cast<char>(first + 10 * t);
      bytes += static_cast<char>(first + 10 * t + 1);
    }
    return npy_file("|u1", "(" + std::to_string(frames) + ", 1, 2)", bytes);
  }
  static std::string grey_png(std::size_t height, std::size_t width, int value) {
    return test::png_file(
        height,
        width,
        std::vector<std::uint8_t>(height * width, static_cast<std::uint8_t>(value)),
        {});
  }

  const TargetColumn kLabel{
      .task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 2};
  test::TempDir folder_;
};

TEST_F(VideoSourceTest, TakesTheMiddleAndHoldsTheLastFrame) {
  write("t/a b/long.npy", counting(7));
  write("t/개/short.npy", counting(2, 100));
  VideoSource source = with({{"frames", "3"}});
  source.read(input("t", {kLabel}), nullptr);
  EXPECT_EQ(source.size(), 2U);
  EXPECT_THAT(source.target("label").values, ElementsAre(0, 1));
  EXPECT_THAT(source.class_names("label"), ElementsAre("a b", "개"));
  EXPECT_THAT(clip(source, 0), ElementsAre(20, 21, 30, 31, 40, 41));
  EXPECT_THAT(clip(source, 1), ElementsAre(100, 101, 110, 111, 110, 111));
  EXPECT_THAT(array_of(source.batch(RowList{0, 1}, nullptr), "clip").shape,
              ElementsAre(2, 1, 3, 1, 2));
  VideoSource strided = with({{"frames", "2"}, {"stride", "3"}});
  strided.read(input("t"), nullptr);
  EXPECT_THAT(clip(strided, 0), ElementsAre(0, 1, 30, 31))
      << "of 0, 3, 6 the first two of the middle";
  EXPECT_EQ(source.shown().at(0).name, "video");
  source.save(folder_.path());
  auto loaded = source.fresh();
  loaded->load(folder_.path());
  EXPECT_EQ(
      clip(static_cast<VideoSource&>(*dev_of(static_cast<VideoSource&>(*loaded), "t", {kLabel})),
           0),
      clip(source, 0));
  folder_.write("video.json", R"({"format": "detente-video-1", "classes": {}, "height": 1})");
  EXPECT_THAT(std::string(error_of([&] { loaded->load(folder_.path()); }).what()),
              HasSubstr("damaged"));
}

TEST_F(VideoSourceTest, TemporalAugmentationTakesEveryWindow) {
  write("l.csv", "video,label\na.npy,0\n");
  write("a.npy", counting(5));
  VideoSource source = with({{"frames", "3"}, {"augment.temporal", "true"}});
  source.read(input("l.csv"), nullptr);
  EXPECT_EQ(clip(source, 0)[0], 10);
  std::set<int> begins;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const Rng rng(i);
    const std::vector<int> seen = clip(source, 0, &rng);
    begins.insert(seen[0]);
    EXPECT_THAT(
        seen,
        ElementsAre(seen[0], seen[0] + 1, seen[0] + 10, seen[0] + 11, seen[0] + 20, seen[0] + 21));
  }
  EXPECT_THAT(begins, ElementsAre(0, 10, 20));
  // A changed clip changes alike in all its frames.
  VideoSource flipped = with({{"frames", "2"}, {"augment.flip", "true"}});
  flipped.read(input("l.csv"), nullptr);
  std::set<std::vector<int>> seen;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Rng rng(i);
    seen.insert(clip(flipped, 0, &rng));
  }
  EXPECT_THAT(seen,
              ElementsAre(std::vector<int>{10, 11, 20, 21}, std::vector<int>{11, 10, 21, 20}));
}

TEST_F(VideoSourceTest, ARowChangesAlikeInAnyBatch) {
  std::string list = "video,label\n";
  for (int i = 0; i < 5; ++i) {
    const std::string name = std::to_string(i) + ".npy";
    write(name, counting(5 + i, i));
    list += name + ",0\n";
  }
  write("l.csv", list);
  VideoSource source =
      with({{"frames", "3"}, {"augment.temporal", "true"}, {"augment.flip", "true"}});
  source.read(input("l.csv"), nullptr);
  test::expect_rows_draw_alone(source, {3, 0, 4, 1}, Rng(2));
}

TEST_F(VideoSourceTest, AFolderOfPicturesIsReadInTheOrderOfItsNumbers) {
  for (const int i : {1, 2, 10, 9}) {
    write("c/x/walk/f" + std::to_string(i) + ".png", grey_png(2, 2, 20 * i));
  }
  write("c/x/walk/notes.txt", "no picture");
  write("c/y/one/1.PNG", grey_png(2, 2, 7));
  VideoSource source = with({{"frames", "4"}});
  source.read(input("c", {kLabel}), nullptr);
  EXPECT_THAT(clip(source, 0),
              ElementsAre(20, 20, 20, 20, 40, 40, 40, 40, 180, 180, 180, 180, 200, 200, 200, 200));
  EXPECT_THAT(clip(source, 1), Each(7));
  EXPECT_TRUE(natural_less("f2", "f10"));
  EXPECT_FALSE(natural_less("f10", "f2"));
  EXPECT_TRUE(natural_less("f01", "f1") != natural_less("f1", "f01"));
  // Another size is an error unless it is asked away; colours anywhere make all of three channels.
  write("c/y/one/2.png",
        test::png_file(4, 4, std::vector<std::uint8_t>(48, 9), {.color_type = PNG_COLOR_TYPE_RGB}));
  EXPECT_THAT(message(input("c")), AllOf(HasSubstr("one"), HasSubstr("data.resize")));
  VideoSource resized = with({{"frames", "2"}, {"resize", "stretch"}});
  resized.read(input("c"), nullptr);
  EXPECT_EQ(resized.shape(), (ImageShape{2, 2, 3}));
  EXPECT_THAT(clip(resized, 1),
              ElementsAre(7, 7, 7, 7, 9, 9, 9, 9, 7, 7, 7, 7, 9, 9, 9, 9, 7, 7, 7, 7, 9, 9, 9, 9));
}

TEST_F(VideoSourceTest, SaysWhatIsWrong) {
  const auto of = [&](const std::string& bytes, const Options& options = {}) {
    write("l.csv", "video\nx \"1\".npy\n");
    write("x \"1\".npy", bytes);
    return message(input("l.csv"), with(options));
  };
  EXPECT_THAT(of(npy_file("|u1", "(4,)", "abcd")), AllOf(HasSubstr("(4,)"), HasSubstr("line 2")));
  EXPECT_THAT(of(npy_file("|u1", "(1, 1, 1, 2)", "ab")), HasSubstr("1 or 3 channels"));
  EXPECT_THAT(of(npy_file("|u1", "(0, 2, 2)", "")), HasSubstr("(0, 2, 2)"));
  EXPECT_THAT(of(npy_file("<f4", "(1, 1, 1)", test::raw_bytes<float>({0.5F}))),
              HasSubstr("0.5 in picture 0"));
  EXPECT_THAT(of(npy_file("<f4", "(1, 1, 1)", test::raw_bytes<float>({std::nanf("")}))),
              HasSubstr("nan in picture 0"));
  EXPECT_THAT(of(counting(2).substr(0, 70)), HasSubstr("cut short"));
  EXPECT_THAT(of(counting(2), {{"fps", "5"}}), HasSubstr("data.stride"));
  EXPECT_THAT(of(npy_file("|u1", "(1, 1100, 1000)", std::string(1100000, 'a')), {{"memory", "1"}}),
              HasSubstr("data.memory"));
  write("m.csv", "video\nmissing.npy\n");
  EXPECT_THAT(message(input("m.csv")), AllOf(HasSubstr("missing.npy"), HasSubstr("line 2")));
  std::filesystem::create_directories(folder_.path() / "e" / "nothing");
  write("n.csv", "video\ne/nothing\n");
  EXPECT_THAT(message(input("n.csv")), HasSubstr("holds no picture"));
  write("o.csv", "video\nl.csv\n");
  EXPECT_THAT(message(input("o.csv")), HasSubstr("l.csv"));
  EXPECT_THAT(message(input("x \"1\".npy")), HasSubstr("a single clip is no data set"));
  EXPECT_THAT(message(input("x \"1\".npy"), with({{"size", "[1]"}})), HasSubstr("data.size"));
}

// --- moving pictures ------------------------------------------------------------------------------

TEST(MovingImages, MoveInTheEightDirectionsAndComeInAgain) {
  const Image dot{{1, 1, 1}, {200}};
  MovingOptions options;
  options.side = 7;
  options.speed = 2;
  const auto place = [&](std::size_t direction, std::size_t frame) {
    const Image field = moved(dot, options, {3, 3, direction}, frame);
    const auto at = std::find(field.values.begin(), field.values.end(), 200) - field.values.begin();
    return std::pair(at / 7, at % 7);
  };
  using P = std::pair<std::ptrdiff_t, std::ptrdiff_t>;
  EXPECT_EQ(place(0, 1), (P{3, 5}));
  EXPECT_EQ(place(1, 1), (P{1, 5}));
  EXPECT_EQ(place(2, 1), (P{1, 3}));
  EXPECT_EQ(place(3, 1), (P{1, 1}));
  EXPECT_EQ(place(4, 1), (P{3, 1}));
  EXPECT_EQ(place(5, 1), (P{5, 1}));
  EXPECT_EQ(place(6, 1), (P{5, 3}));
  EXPECT_EQ(place(7, 1), (P{5, 5}));
  for (std::size_t d = 0; d < kDirections; ++d) EXPECT_EQ(place(d, 7), place(d, 0)) << "once round";
  EXPECT_EQ(place(4, 2), (P{3, 6}));
}

// Any part of a picture in any frame is anywhere alike, whatever the direction.
TEST(MovingImages, OneFrameSaysNothingOfTheDirection) {
  MovingOptions options;
  options.side = 4;
  options.seed = 3;
  constexpr std::size_t kCount = 80000;
  std::map<std::pair<std::size_t, std::size_t>, double> counts;
  const Image dot{{1, 1, 1}, {1}};
  for (std::size_t i = 0; i < kCount; ++i) {
    const Motion motion = motion_of(options, i / 4, i % 4);
    const Image field = moved(dot, options, motion, 2);
    const auto at = std::find(field.values.begin(), field.values.end(), 1) - field.values.begin();
    ++counts[{motion.direction, static_cast<std::size_t>(at)}];
  }
  const double expected = static_cast<double>(kCount) / (kDirections * 16);
  double chi2 = 0;
  for (std::size_t d = 0; d < kDirections; ++d) {
    for (std::size_t at = 0; at < 16; ++at) {
      const double distance = counts[{d, at}] - expected;
      chi2 += distance * distance / expected;
    }
  }
  EXPECT_LT(chi2, 127 + 5 * std::sqrt(2 * 127.0));
}

TEST_F(VideoSourceTest, MovingClipsAreThoseOfTheirImageWhateverTheSplit) {
  std::string images("\0\0\x08\x03\0\0\0\x0a\0\0\0\x02\0\0\0\x02", 16);
  std::string labels("\0\0\x08\x01\0\0\0\x0a", 8);
  for (char i = 0; i < 10; ++i) {
    images += std::string(4, static_cast<char>(10 + i));
    labels += i;
  }
  write("a-images-idx3-ubyte", images);
  write("a-labels-idx1-ubyte", labels);
  const TargetColumn digit{
      .task = "digit", .column = "label", .kind = TaskKind::kClasses, .classes = 10};
  const TargetColumn direction{
      .task = "direction", .column = "direction", .kind = TaskKind::kClasses, .classes = 8};
  const Options options = {{"frames", "3"}, {"moving.side", "5"}, {"moving.clips", "2"}};
  VideoSource whole = with(options);
  SourceInput all = input("a-images-idx3-ubyte", {digit, direction});
  whole.read(all, nullptr);
  EXPECT_EQ(whole.size(), 20U);
  EXPECT_EQ(whole.shape(), (ImageShape{5, 5, 1}));
  all.files.split.dev = 0.3;
  VideoSource train = with(options);
  train.read(all, nullptr);
  all.part = Part::kDev;
  auto dev = train.fresh();
  dev->read(all, &train);
  EXPECT_EQ(train.size(), 14U);
  EXPECT_EQ(dev->size(), 6U);
  std::set<double> seen;
  for (const double label : train.target("digit").values) seen.insert(label);
  for (std::size_t i = 0; i < dev->size(); ++i) {
    const double label = dev->target("digit").values[i];
    EXPECT_FALSE(seen.contains(label)) << "an image is in one part";
    const std::size_t same = 2 * static_cast<std::size_t>(label) + i % 2;
    EXPECT_EQ(clip(static_cast<VideoSource&>(*dev), i), clip(whole, same));
    EXPECT_EQ(dev->target("direction").values[i], whole.target("direction").values[same]);
  }
  VideoSource other =
      with({{"frames", "3"}, {"moving.side", "5"}, {"moving.clips", "2"}, {"moving.seed", "1"}});
  other.read(input("a-images-idx3-ubyte", {direction}), nullptr);
  EXPECT_NE(other.target("direction").values, whole.target("direction").values);
  EXPECT_THAT(message(input("a-images-idx3-ubyte"), with({{"moving.side", "1"}})),
              HasSubstr("data.moving.side"));
  EXPECT_THAT(message(input("a-images-idx3-ubyte"), with({{"moving.side", "9"}, {"stride", "2"}})),
              HasSubstr("data.stride"));
  EXPECT_THAT(message(input("a-images-idx3-ubyte")), HasSubstr("data.moving.side"));
}

// --- video files ----------------------------------------------------------------------------------

#ifdef DETENTE_HAS_FFMPEG

TEST_F(VideoSourceTest, ReadsVideoFiles) {
  std::vector<Image> frames;
  for (int t = 0; t < 10; ++t) {
    Image image{{16, 32, 1}, std::vector<std::uint8_t>(512, static_cast<std::uint8_t>(20 * t))};
    frames.push_back(image);
  }
  for (const char* name : {"a:b.mp4", "개.mkv", "c.avi"}) {
    if (!test::write_video(path(name), frames, 10)) GTEST_SKIP() << "no encoder";
    write("l.csv", std::string("video\n") + name + "\n");
    VideoSource source = with({{"frames", "10"}, {"channels", "1"}});
    source.read(input("l.csv"), nullptr);
    EXPECT_EQ(source.shape(), (ImageShape{16, 32, 1}));
    const std::vector<int> seen = clip(source, 0);
    for (int t = 0; t < 10; ++t)
      EXPECT_NEAR(seen[static_cast<std::size_t>(512 * t + 100)], 20 * t, 6) << name;
    VideoSource strided = with({{"frames", "3"}, {"stride", "3"}});
    strided.read(input("l.csv"), nullptr);
    EXPECT_EQ(strided.shape().channels, 3U);
    EXPECT_NEAR(clip(strided, 0)[512], 60, 6) << "0, 3, 6, 9: the first three";
    // 10 pictures a second seen five times a second, and twenty.
    VideoSource slow = with({{"frames", "5"}, {"fps", "5"}, {"channels", "1"}});
    slow.read(input("l.csv"), nullptr);
    EXPECT_NEAR(clip(slow, 0)[512 * 4], 160, 6) << name;
    // Cut short, it is an error or a shorter clip, never a crash.
    const std::string whole = read_file(path(name));
    for (const double share : {0.0, 0.1, 0.5, 0.9}) {
      folder_.write(
          name,
          whole.substr(0, static_cast<std::size_t>(share * static_cast<double>(whole.size()))));
      VideoSource cut = with({});
      try {
        cut.read(input("l.csv"), nullptr);
        EXPECT_GT(share, 0.05);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData);
        EXPECT_THAT(error.what(), AllOf(HasSubstr(name), HasSubstr("line 2")));
      }
    }
  }
  // A playlist names other files; none is opened.
  write("p.mp4", "ffconcat version 1.0\nfile c.avi\n");
  write("l.csv", "video\np.mp4\n");
  EXPECT_THAT(message(input("l.csv")), HasSubstr("no video"));
  write("l.csv", "video\nnot there.mp4\n");
  EXPECT_THAT(message(input("l.csv")), HasSubstr("cannot open"));
}

#else

TEST_F(VideoSourceTest, ABuildWithoutFfmpegSaysSo) {
  EXPECT_FALSE(can_read_video());
  write("l.csv", "video\na.mp4\n");
  write("a.mp4", "x");
  const Error error = error_of([&] {
    VideoSource source;
    source.read(input("l.csv"), nullptr);
  });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("a.mp4"), HasSubstr("libavformat-dev")));
}

#endif

}  // namespace
}  // namespace detente::data
