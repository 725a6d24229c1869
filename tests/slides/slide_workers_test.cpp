// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/slide_workers.h>
#include <gmock/gmock.h>
#include <tests/slides/made_slides.h>
#include <tests/support/error_of.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace detente::slides {
namespace {

using detente::test::error_of;
using detente::test::TempDir;
using test::cut;
using test::kAperio;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SlideWorkers, SaysWhatASlideIs) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const Picture picture = sample_picture(100, 75);
  const std::string plain = folder.write(
      "a 'slide' \"è 병리.tiff", sample_slide(picture, {.levels = 3, .microns_per_pixel = 0.5}));
  const SlideInfo info = reader.info(plain);
  EXPECT_EQ(info.vendor, "generic-tiff");
  ASSERT_EQ(info.levels.size(), 3U);
  EXPECT_EQ(info.levels[0].width, 100);
  EXPECT_EQ(info.levels[0].height, 75);
  EXPECT_EQ(info.levels[2].width, 25);
  EXPECT_EQ(info.levels[2].height, 19);
  EXPECT_DOUBLE_EQ(info.levels[0].downsample, 1);
  EXPECT_NEAR(info.levels[1].downsample, (100.0 / 50 + 75.0 / 38) / 2, 1e-9);
  EXPECT_EQ(info.background, 0xffffffU);
  EXPECT_EQ(info.properties.at("openslide.vendor"), "generic-tiff");
  const std::string aperio = folder.write("b.svs", sample_slide(picture, {.description = kAperio}));
  const SlideInfo svs = reader.info(aperio);
  EXPECT_EQ(svs.vendor, "aperio");
  EXPECT_DOUBLE_EQ(svs.mpp_x, 0.25);
  EXPECT_DOUBLE_EQ(svs.mpp_y, 0.25);
  EXPECT_DOUBLE_EQ(svs.objective_power, 40);
}

TEST(SlideWorkers, ReadsRegionsOfEveryLevelAndWhatLiesOutsideIsBackground) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const Picture level0 = sample_picture(100, 76);
  const Picture level1 = half_of(level0);
  const std::string file = folder.write("s.tiff", sample_slide(level0, {.levels = 2}));
  std::mt19937 random(7);
  const auto within = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  for (int i = 0; i < 60; ++i) {
    const std::int64_t w = within(1, 120);
    const std::int64_t h = within(1, 120);
    const std::int64_t x = within(-40, 60) * 2;
    const std::int64_t y = within(-40, 60) * 2;
    const Picture large = reader.read(file, {x, y, 0, w, h, w, h});
    ASSERT_EQ(large.values, cut(level0, x, y, w, h).values)
        << x << "," << y << " " << w << "x" << h;
    const Picture small = reader.read(file, {x, y, 1, w, h, w, h});
    ASSERT_EQ(small.values, cut(level1, x / 2, y / 2, w, h).values)
        << x << "," << y << " " << w << "x" << h;
  }
  const Picture far = reader.read(file, {std::int64_t{1} << 40, -5, 0, 3, 2, 3, 2});
  EXPECT_THAT(far.values, ::testing::Each(255));
  EXPECT_THAT(reader.bad(), IsEmpty());
  EXPECT_EQ(reader.statistics().pictures, 121);
  EXPECT_EQ(reader.statistics().opened, 1);
}

TEST(SlideWorkers, MakesSmallerByTheMeanOverAreas) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const Picture level0 = sample_picture(96, 64);
  const std::string file = folder.write("s.tiff", sample_slide(level0));
  EXPECT_EQ(reader.read(file, {0, 0, 0, 96, 64, 48, 32}).values, half_of(level0).values);
  // 3 to 2: a whole pixel and half of the next, by hand.
  const Picture part = cut(level0, 10, 20, 3, 1);
  const Picture read = reader.read(file, {10, 20, 0, 3, 1, 2, 1});
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(read.values[c], (2 * part.values[c] + part.values[3 + c] + 1) * 2 / 6);
    EXPECT_EQ(read.values[3 + c], (2 * part.values[6 + c] + part.values[3 + c] + 1) * 2 / 6);
  }
}

TEST(SlideWorkers, AnswersInAnyOrderWithAnyNumberOfWorkers) {
  const TempDir folder;
  std::vector<std::string> files;
  for (int i = 0; i < 5; ++i) {
    files.push_back(folder.write(std::to_string(i) + ".tiff",
                                 sample_slide(sample_picture(64 + i, 48), {.levels = 2})));
  }
  for (const int workers : {1, 3}) {
    DETENTE_SLIDE_WORKERS(reader, .workers = workers);
    std::vector<SlideReader::Ticket> tickets;
    for (std::int64_t i = 0; i < 200; ++i) {
      const auto& file = files[static_cast<std::size_t>(i * 7 % 5)];
      tickets.push_back(reader.ask(file, {i % 32, i % 24, 0, 20, 10, 20, 10}));
    }
    for (std::int64_t i = 199; i >= 0; --i) {
      const auto ticket = tickets[static_cast<std::size_t>(i)];
      if (i % 10 == 3) {
        reader.drop(ticket);
        continue;
      }
      const Picture whole = sample_picture(64 + i * 7 % 5, 48);
      ASSERT_EQ(reader.take(ticket).values, cut(whole, i % 32, i % 24, 20, 10).values) << i;
    }
    EXPECT_EQ(error_of([&] { reader.take(tickets[0]); }).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error_of([&] { reader.drop(tickets[3]); }).code(), ErrorCode::kInvalidArgument);
    const ReaderStatistics statistics = reader.statistics();
    EXPECT_LE(statistics.pictures, 200);
    EXPECT_GE(statistics.pictures, 180);
    EXPECT_EQ(statistics.opened + statistics.reused, statistics.pictures);
    EXPECT_EQ(statistics.restarts, 0);
  }
}

TEST(SlideWorkers, KeepsSoManySlidesOpenAndNoMore) {
  DETENTE_SLIDE_WORKERS(reader, .handles = 4, .cache_mib = 1024);
  const TempDir folder;
  std::vector<std::string> files;
  for (int i = 0; i < 6; ++i) {
    files.push_back(
        folder.write(std::to_string(i) + ".tiff", sample_slide(sample_picture(32, 32))));
  }
  const auto visit = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) reader.read(files[i], {0, 0, 0, 8, 8, 8, 8});
  };
  visit(4);
  visit(4);
  EXPECT_EQ(reader.statistics().opened, 4);
  EXPECT_EQ(reader.statistics().reused, 4);
  // One after the other, six go round through four: each has just been closed.
  visit(6);
  visit(6);
  EXPECT_EQ(reader.statistics().opened, 4 + 2 + 6);
}

TEST(SlideWorkers, ReadsLargePicturesAndSmallOnesAfterThem) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const std::string file = folder.write("s.tiff", sample_slide(sample_picture(64, 64)));
  const Picture large = reader.read(file, {0, 0, 0, 9000, 4200, 9000, 4200});
  EXPECT_EQ(large.values.size(), 9000U * 4200 * 3);
  EXPECT_EQ(large.values[(63 * 9000 + 63) * 3], sample_picture(64, 64).values[(63 * 64 + 63) * 3]);
  EXPECT_EQ(large.values[(63 * 9000 + 64) * 3], 255);
  EXPECT_EQ(reader.read(file, {0, 0, 0, 4, 4, 4, 4}).values,
            cut(sample_picture(64, 64), 0, 0, 4, 4).values);
}

TEST(SlideWorkers, NamesWhatIsNoSlide) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const auto check = [&](const std::string& file, ErrorCode code, const char* words) {
    const Error error = error_of([&] { reader.info(file); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(words));
    EXPECT_THAT(error.what(), HasSubstr("'" + file + "'"));
    const Error read = error_of([&] { reader.read(file, {0, 0, 0, 1, 1, 1, 1}); });
    EXPECT_EQ(read.code(), ErrorCode::kData) << read.what();
    EXPECT_THAT(read.what(), HasSubstr("'" + file + "'"));
    EXPECT_EQ(reader.bad().count(file), 1U);
  };
  check(folder.file("none.svs"), ErrorCode::kIo, "there is no such file");
  check(folder.path().string(), ErrorCode::kIo, "it is a folder");
  check("/dev/zero", ErrorCode::kIo, "no regular file");
  check(folder.write("empty.svs", ""), ErrorCode::kIo, "it is empty");
  check(folder.write("text.svs", "hello, this is no slide\n"), ErrorCode::kData, "it is no slide");
  std::string cut_off = sample_slide(sample_picture(64, 64), {.description = kAperio});
  cut_off.resize(cut_off.size() / 2);
  check(folder.write("cut.svs", cut_off), ErrorCode::kData, "cannot be read");
  EXPECT_EQ(reader.bad().size(), 6U);
  EXPECT_EQ(reader.statistics().restarts, 0);
}

TEST(SlideWorkers, RefusesRegionsThatCannotBe) {
  DETENTE_SLIDE_WORKERS(reader);
  const TempDir folder;
  const std::string file = folder.write("s.tiff", sample_slide(sample_picture(64, 64)));
  const std::int64_t huge = INT64_MAX;
  const Region wrong[] = {{0, 0, 0, 0, 1, 1, 1},
                          {0, 0, 0, 1, -1, 1, 1},
                          {0, 0, 0, 4, 4, 5, 4},
                          {0, 0, 0, 4, 4, 4, 0},
                          {0, 0, -1, 4, 4, 4, 4},
                          {huge, 0, 0, 4, 4, 4, 4},
                          {0, -huge, 0, 4, 4, 4, 4},
                          {0, 0, 0, huge, huge, 4, 4},
                          {0, 0, 0, 9000, 9000, 9000, 9000},
                          {0, 0, 0, 1 << 17, 1, 1 << 17, 1}};
  for (const Region& region : wrong) {
    EXPECT_EQ(error_of([&] { reader.ask(file, region); }).code(), ErrorCode::kInvalidArgument);
  }
  // Only the slide knows how many levels it has; it is not bad for that.
  const Error level = error_of([&] { reader.read(file, {0, 0, 1, 4, 4, 4, 4}); });
  EXPECT_EQ(level.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(level.what(), HasSubstr("there is no level 1; expected 0 to 0"));
  EXPECT_THAT(reader.bad(), IsEmpty());
  EXPECT_EQ(error_of([&] { reader.associated(file, "label"); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(SlideWorkers, SaysWhichLibraryReads) {
  DETENTE_SLIDE_WORKERS(reader);
  const OpenSlideFacts facts = reader.facts();
  EXPECT_THAT(facts.version, AnyOf(HasSubstr("3."), HasSubstr("4.")));
  EXPECT_THAT(facts.library, HasSubstr("libopenslide"));
  EXPECT_EQ(facts.shared_cache, facts.version[0] >= '4');
}

TEST(SlideWorkers, RefusesOptionsOutOfRange) {
  for (const SlideWorkersOptions& options : {SlideWorkersOptions{.workers = 0},
                                             SlideWorkersOptions{.workers = 65},
                                             SlideWorkersOptions{.handles = 0},
                                             SlideWorkersOptions{.memory_mib = 1},
                                             SlideWorkersOptions{.seconds = 0},
                                             SlideWorkersOptions{.seconds = -1}}) {
    EXPECT_EQ(error_of([&] { const SlideWorkers reader(options); }).code(),
              ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace detente::slides
