// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/epoch_plan.h>
#include <detente/data/slide_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/fake_slides.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

namespace detente::data {
namespace {

using test::FakeSlides;
using test::glass_with;
using test::said;
using ::testing::HasSubstr;

// Slides a.svs, b.svs, ... of 128 x 64 pixels at half a micron, all tissue but for the last 32 columns; green
// is the slide's number.
class SlideSourceTest : public ::testing::Test {
 protected:
  using Options = std::vector<std::pair<std::string, std::string>>;

  void make_slides(int count) {
    std::string table = "slide,patient,grade\n";
    for (int i = 0; i < count; ++i) {
      const std::string name = std::string(1, static_cast<char>('a' + i)) + ".svs";
      folder_.write(name, "not read");
      reader_->add(folder_.file(name),
                   glass_with(128, 64, 0, 0, 96, 64, static_cast<std::uint8_t>(i)),
                   2,
                   0.5);
      table += name + ",p" + std::to_string(i / 2) + "," + std::to_string(10 * i) + "\n";
    }
    folder_.write("slides.csv", table);
  }
  std::unique_ptr<SlideSource> with(const Options& options) const {
    auto source = std::make_unique<SlideSource>([this](const SlideReading&) { return reader_; });
    Options all = {{"tile", "16"}, {"mpp", "1"}, {"tissue", "0.5"}};
    all.insert(all.end(), options.begin(), options.end());
    for (const auto& [key, value] : all) {
      set_field([&](FieldVisitor& v) { source->describe(v); }, key, value, "test");
    }
    return source;
  }
  SourceInput input(const std::string& file, Part part = Part::kTrain) const {
    SourceInput input;
    (part == Part::kTrain ? input.files.train : input.files.dev) = folder_.file(file);
    input.part = part;
    TargetColumn grade;
    grade.task = grade.column = "grade";
    input.targets = {grade};
    return input;
  }
  static RowList all(const Source& source) {
    RowList rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return rows;
  }

  test::TempDir folder_;
  std::shared_ptr<FakeSlides> reader_ = std::make_shared<FakeSlides>();
};

TEST_F(SlideSourceTest, TilesHaveThePixelsAndTheTargetsOfTheirSlides) {
  make_slides(3);
  const auto source = with({});
  source->read(input("slides.csv"), nullptr);
  // 16 pixels at 1 micron are 32 of a slide: 3 x 2 of the 4 x 2 places have tissue.
  ASSERT_EQ(source->size(), 18U);
  EXPECT_EQ(source->slides(), 3U);
  EXPECT_EQ(source->shape(), (ImageShape{16, 16, 3}));
  const Batch targets = source->target_batch(all(*source), nullptr);
  for (std::size_t row = 0; row < source->size(); ++row) {
    const Image image = source->example(row);
    const std::size_t slide = source->tile(row).slide;
    for (std::size_t i = 0; i < image.values.size(); i += 3) {
      ASSERT_EQ(image.values[i], 200);
      ASSERT_EQ(image.values[i + 1], slide);
    }
    EXPECT_EQ(std::get<std::vector<double>>(targets[0].values)[row],
              10.0 * static_cast<double>(slide));
  }
  // Green is 0, 1 and 2 equally often.
  EXPECT_DOUBLE_EQ(source->means()[1], 1);
  EXPECT_NEAR(source->deviations()[1], std::sqrt(2.0 / 3), 1e-12);
  const Batch batch = source->batch(all(*source), nullptr);
  EXPECT_EQ(batch[0].name, "image");
  EXPECT_EQ(batch[0].shape, (std::vector<std::size_t>{18, 3, 16, 16}));
  EXPECT_FLOAT_EQ(std::get<std::vector<float>>(batch[0].values)[256],
                  source->standard(static_cast<double>(source->tile(0).slide), 1));
  std::map<std::string, std::vector<std::string>> shown;
  for (const ShownColumn& column : source->shown()) shown[column.name] = column.cells;
  EXPECT_EQ(shown.at("slide")[0], "a.svs");
  EXPECT_EQ(shown.at("x")[1], "32");
  EXPECT_EQ(shown.at("y")[3], "32");
  EXPECT_EQ(shown.at("level")[0], "1");
  EXPECT_EQ(shown.at("tissue")[0], "1.0000");
}

TEST_F(SlideSourceTest, RandomChangesAreEachRowsOwn) {
  make_slides(3);
  const auto source = with({{"augment.jitter", "0.4"}, {"augment.flip", "true"}});
  source->read(input("slides.csv"), nullptr);
  test::expect_rows_draw_alone(*source, {0, 3, 7, 11}, Rng(5));
}

TEST_F(SlideSourceTest, NoSlideIsInTwoParts) {
  make_slides(8);
  SourceInput train = input("slides.csv");
  train.files.split.dev = 0.3;
  train.files.split.group = "patient";
  const auto source = with({});
  source->read(train, nullptr);
  SourceInput dev = train;
  dev.part = Part::kDev;
  const auto other = source->fresh();
  other->read(dev, source.get());
  const auto patients = [](const Source& one) {
    std::set<std::string> found;
    for (const ShownColumn& column : one.shown()) {
      if (column.name == "patient") found.insert(column.cells.begin(), column.cells.end());
    }
    return found;
  };
  for (const std::string& patient : patients(*other))
    EXPECT_FALSE(patients(*source).contains(patient));
  EXPECT_EQ(source->size() + other->size(), 8U * 6U);
}

TEST_F(SlideSourceTest, AListOfTilesIsSplitBySlide) {
  make_slides(6);
  std::string tiles = "slide,x,y,part,grade\n";
  for (int i = 0; i < 6; ++i) {
    for (int t = 0; t < 4; ++t) {
      tiles += std::string(1, static_cast<char>('a' + i)) + ".svs," + std::to_string(32 * (t % 2)) +
               "," + std::to_string(32 * (t / 2)) + "," + (t == 0 ? "dev" : "train") + "," +
               std::to_string(t) + "\n";
    }
  }
  folder_.write("tiles.csv", tiles);
  SourceInput train = input("tiles.csv");
  train.files.split.dev = 0.34;
  const auto source = with({});
  source->read(train, nullptr);
  SourceInput dev = train;
  dev.part = Part::kDev;
  const auto other = source->fresh();
  other->read(dev, source.get());
  EXPECT_EQ(source->slides() + dynamic_cast<const SlideSource&>(*other).slides(), 6U);
  EXPECT_EQ(source->size(), 4 * source->slides());
  // A column that parts a slide is refused.
  SourceInput parted = input("tiles.csv");
  parted.files.split.column = "part";
  EXPECT_THAT(said([&] { with({})->read(parted, nullptr); }), HasSubstr("in two parts"));
  // Another resolution than the plan's, too, and a place that is none.
  folder_.write("bad.csv", "slide,x,y,mpp,grade\na.svs,0,0,0.5,1\n");
  EXPECT_THAT(said([&] { with({})->read(input("bad.csv"), nullptr); }), HasSubstr("0.5"));
  folder_.write("bad.csv", "slide,x,y,grade\na.svs,left,0,1\n");
  EXPECT_THAT(said([&] { with({})->read(input("bad.csv"), nullptr); }), HasSubstr("left"));
}

TEST_F(SlideSourceTest, ABrokenSlideCostsItself) {
  make_slides(4);
  reader_->break_now(folder_.file("b.svs"));
  const auto source = with({});
  source->read(input("slides.csv"), nullptr);
  EXPECT_EQ(source->slides(), 3U);
  ASSERT_FALSE(source->warnings().empty());
  EXPECT_THAT(source->warnings()[0], HasSubstr("b.svs"));
  EXPECT_TRUE(source->news().empty());
  // One more, in the middle of training. The scale has been taken, and some tiles are kept.
  const auto dear = with({{"memory", "1"}});
  dear->read(input("slides.csv"), nullptr);
  reader_->break_now(folder_.file("c.svs"));
  const auto fresh = dear->fresh();
  EXPECT_THAT(said([&] {
                const auto only = with({});
                folder_.write("one.csv", "slide,grade\nc.svs,1\n");
                only->read(input("one.csv"), nullptr);
              }),
              HasSubstr("no tile that can be read"));
}

TEST_F(SlideSourceTest, ASlideThatBreaksLaterHasBlankTilesWithoutTargets) {
  make_slides(2);
  // More than kScaleTiles tiles, so that not all are kept from the scale.
  reader_->add(folder_.file("b.svs"), glass_with(2048, 2048, 0, 0, 2048, 2048, 9), 2, 0.5);
  const auto source = with({});
  source->read(input("slides.csv"), nullptr);
  reader_->break_now(folder_.file("b.svs"));
  const RowList rows = all(*source);
  source->expect(rows);
  const Batch batch = source->batch(rows, nullptr);
  const Batch targets = source->target_batch(rows, nullptr);
  const auto news = source->news();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_THAT(news[0], HasSubstr("b.svs"));
  EXPECT_TRUE(source->news().empty()) << "said once";
  for (const std::size_t row : rows) {
    const bool good = source->tile(row).slide == 0;
    EXPECT_EQ(std::isnan(std::get<std::vector<double>>(targets[0].values)[row]), !good) << row;
  }
  EXPECT_EQ(source->example(rows.back()).values[0], 255) << "the slide's background";
}

TEST_F(SlideSourceTest, ExpectingChangesNothingAndIsBounded) {
  make_slides(3);
  const auto plain = with({});
  plain->read(input("slides.csv"), nullptr);
  const Batch before = plain->batch(all(*plain), nullptr);
  const auto asked = with({});
  asked->read(input("slides.csv"), nullptr);
  asked->expect(all(*asked));
  const Batch after = asked->batch(all(*asked), nullptr);
  EXPECT_EQ(std::get<std::vector<float>>(before[0].values),
            std::get<std::vector<float>>(after[0].values));
  EXPECT_EQ(reader_->waiting(), 0U);
  // 1 MiB: half of it on its way at most, tiles of 768 bytes.
  reader_->add(folder_.file("a.svs"), glass_with(4096, 4096, 0, 0, 4096, 4096, 9), 2, 0.5);
  const auto large = with({{"memory", "1"}});
  large->read(input("slides.csv"), nullptr);
  large->expect(all(*large));
  EXPECT_LE(reader_->waiting(), (512U << 10U) / 768);
  EXPECT_GT(reader_->waiting(), 500U);
}

TEST_F(SlideSourceTest, BatchesHoldFewSlidesAndAnEpochAllTiles) {
  make_slides(12);
  const auto source = with({{"window", "3"}});
  source->read(input("slides.csv"), nullptr);
  const EpochPlan plan(*source, {.batch_size = 6, .min_batch = 0}, {}, {}, 1);
  std::vector<RowList> first = plan.batches(0);
  std::set<std::size_t> seen;
  for (std::size_t b = 0; b < first.size(); ++b) {
    std::set<std::uint32_t> slides;
    for (const std::size_t row : first[b]) {
      EXPECT_TRUE(seen.insert(row).second);
      slides.insert(source->tile(row).slide);
    }
    EXPECT_LE(slides.size(), 3U);
  }
  EXPECT_EQ(seen.size(), source->size());
  EXPECT_EQ(static_cast<std::int64_t>(first.size()), plan.steps());
  EXPECT_EQ(plan.batches(0), first);
  EXPECT_NE(plan.batches(1), first);
}

TEST_F(SlideSourceTest, AnnotationsBecomeAColumn) {
  make_slides(1);
  folder_.write(
      "a.geojson",
      R"([{"type":"Feature","properties":{"class":"gland"},"geometry":{"type":"Polygon","coordinates":[[[0,0],[32,0],[32,64],[0,64]]]}}])");
  folder_.write("drawn.csv", "slide,regions,grade\na.svs,a.geojson,1\n");
  const auto source = with({{"annotations", "regions"}});
  SourceInput drawn = input("drawn.csv");
  TargetColumn kind;
  kind.task = "kind";
  kind.column = "annotation";
  kind.kind = TaskKind::kClasses;
  kind.classes = 1;
  kind.class_names = {"gland"};
  drawn.targets.push_back(kind);
  source->read(drawn, nullptr);
  for (std::size_t row = 0; row < source->size(); ++row) {
    EXPECT_EQ(source->target("kind").values[row] == 0, source->tile(row).region.x == 0) << row;
  }
}

TEST_F(SlideSourceTest, WhatWasLearntComesBackAndTheDigestKnowsThePlan) {
  make_slides(3);
  const auto source = with({});
  source->read(input("slides.csv"), nullptr);
  test::TempDir run;
  source->save(run.path());
  EXPECT_THAT(read_file(run.path() / "slide_tiles.csv"),
              HasSubstr("slide,patient,grade,x,y,level,mpp,tissue\na.svs,p0,0,0,0,1,1,1.0000\n"));
  const auto loaded = source->fresh();
  loaded->load(run.path());
  const auto dev = source->fresh();
  dev->read(input("slides.csv", Part::kDev), loaded.get());
  EXPECT_EQ(dev->digest(), source->digest());
  EXPECT_EQ(std::get<std::vector<float>>(dev->batch(all(*dev), nullptr)[0].values),
            std::get<std::vector<float>>(source->batch(all(*source), nullptr)[0].values));
  const auto other = with({{"stride", "8"}});
  other->read(input("slides.csv"), nullptr);
  EXPECT_NE(other->digest(), source->digest());
}

TEST_F(SlideSourceTest, WhatIsWrongIsSaid) {
  make_slides(2);
  folder_.write("gone.csv", "slide,grade\nz.svs,1\n");
  EXPECT_THAT(said([&] { with({})->read(input("gone.csv"), nullptr); }),
              testing::AllOf(HasSubstr("z.svs"), HasSubstr("line 2")));
  folder_.write("x.csv", "slide,level,grade\na.svs,1,1\n");
  EXPECT_THAT(said([&] { with({})->read(input("x.csv"), nullptr); }), HasSubstr("'level'"));
  SourceInput dropped = input("slides.csv");
  dropped.files.drop = folder_.file("x.csv");
  EXPECT_THAT(said([&] { with({})->read(dropped, nullptr); }), HasSubstr("slide tiles"));
  EXPECT_THAT(said([&] {
                with({{"tissue", "1"}, {"tile", "64"}})->read(input("slides.csv"), nullptr);
              }),
              HasSubstr("tissue"));
  SourceInput few = input("slides.csv");
  few.files.max_rows = 5;
  const auto source = with({});
  source->read(few, nullptr);
  EXPECT_EQ(source->size(), 5U);
  EXPECT_EQ(source->slides(), 2U) << "some of every slide";
}

}  // namespace
}  // namespace detente::data
