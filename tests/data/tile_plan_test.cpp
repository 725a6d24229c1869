// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/tile_plan.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/fake_slides.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace detente::data {
namespace {

using test::glass_with;
using test::said;
using ::testing::HasSubstr;

slides::SlideInfo slide(double mpp, std::vector<slides::Level> levels) {
  slides::SlideInfo info;
  info.mpp_x = info.mpp_y = mpp;
  info.levels = std::move(levels);
  return info;
}
const std::vector<slides::Level> kPyramid = {
    {8192, 4096, 1}, {2048, 1024, 4.0008}, {512, 256, 16.01}};

TileScale scale_of(double slide_mpp, double mpp, std::int64_t size = 64) {
  return tile_scale(slide(slide_mpp, kPyramid), {.size = size, .mpp = mpp}, "a.svs");
}

TEST(TileScale, TakesTheSmallestLevelThatIsNotCoarser) {
  EXPECT_EQ(scale_of(0.25, 0.25).level, 0);
  EXPECT_EQ(scale_of(0.25, 0.5).level, 0);
  EXPECT_EQ(scale_of(0.25, 1.0).level, 1) << "4.0008 is 4 to a thousandth";
  EXPECT_EQ(scale_of(0.25, 3.9).level, 1);
  EXPECT_EQ(scale_of(0.25, 100).level, 2);
}

TEST(TileScale, ReadsTheSameMicronsFromEveryLevel) {
  for (const double mpp : {0.25, 0.3, 0.5, 0.77, 1.0, 2.0, 4.0, 13.0}) {
    const TileScale scale = scale_of(0.25, mpp);
    const double own = 0.25 * kPyramid[static_cast<std::size_t>(scale.level)].downsample;
    EXPECT_NEAR(static_cast<double>(scale.read_width) * own, 64 * mpp, own) << mpp;
    EXPECT_NEAR(static_cast<double>(scale.width) * 0.25, 64 * mpp, 0.25) << mpp;
    EXPECT_GE(scale.read_width, 64) << mpp;
  }
}

TEST(TileScale, AxesHaveTheirOwn) {
  slides::SlideInfo info = slide(0.5, {{1000, 1000, 1}});
  info.mpp_y = 0.25;
  const TileScale scale = tile_scale(info, {.size = 10, .mpp = 1}, "a");
  EXPECT_EQ(scale.read_width, 20);
  EXPECT_EQ(scale.read_height, 40);
}

TEST(TileScale, ResolutionIsKnownOrAsked) {
  slides::SlideInfo info = slide(0, {{1000, 1000, 1}});
  EXPECT_THAT(said([&] { tile_scale(info, {}, "q.tif"); }),
              testing::AllOf(HasSubstr("q.tif"), HasSubstr("data.slide_mpp")));
  EXPECT_EQ(tile_scale(info, {.slide_mpp = 0.5}, "q").origin, "data.slide_mpp");
  info.objective_power = 40;
  const TileScale scale = tile_scale(info, {.mpp = 0.5, .slide_mpp = 9}, "q");
  EXPECT_EQ(scale.origin, "objective");
  EXPECT_DOUBLE_EQ(scale.mpp_x, 0.25);
  // Finer than what is there: nothing is made up.
  EXPECT_THAT(said([&] { tile_scale(info, {.mpp = 0.2}, "q"); }), HasSubstr("coarser"));
}

TEST(Overview, HasPixelsEnoughForATileAndNotTooMany) {
  const slides::SlideInfo info = slide(0.25, kPyramid);
  const slides::Region coarse = overview_region(info, scale_of(0.25, 4.0));
  EXPECT_EQ(coarse.level, 2);
  EXPECT_EQ(coarse.out_width, 256);
  EXPECT_EQ(overview_scale(info, coarse).first, 32);
  const TileScale fine = scale_of(0.25, 0.25);
  EXPECT_EQ(overview_region(info, fine).out_width, 1024) << "8 pixels along a tile";
  const auto huge = slide(0.25, {{200'000, 100'000, 1}});
  const slides::Region one = overview_region(huge, tile_scale(huge, {.size = 8, .mpp = 0.25}, "h"));
  EXPECT_EQ(one.out_width, 4096);
  EXPECT_EQ(one.width, 200'000);
  const auto tiny = slide(0.25, {{3, 2, 1}});
  const slides::Region least = overview_region(tiny, tile_scale(tiny, {.mpp = 0.25}, "t"));
  EXPECT_GE(least.out_width, 1);
  EXPECT_LE(least.out_width, 3);
}

TilePlan plan(const TileOptions& options, std::uint64_t number = 0) {
  const slides::SlideInfo info = slide(0.5, {{1000, 600, 1}});
  const TileScale scale = tile_scale(info, options, "a");
  // Tissue on the left half.
  return plan_tiles(
      info, scale, TissueMask(glass_with(100, 60, 0, 0, 50, 60), 10, 10), options, "a", number);
}

TEST(TilePlan, GridCoversTheTissueOnceAndStaysWithinTheSlide) {
  const TilePlan grid = plan({.size = 100, .mpp = 0.5, .tissue = 0.6});
  ASSERT_EQ(grid.tiles.size(), 5U * 6U);
  EXPECT_EQ(grid.without_tissue, 30U);
  std::set<std::pair<std::int64_t, std::int64_t>> places;
  for (const Tile& tile : grid.tiles) {
    EXPECT_EQ(tile.x % 100, 0);
    EXPECT_LE(tile.x + 100, 500);
    EXPECT_LE(tile.y + 100, 600);
    EXPECT_DOUBLE_EQ(tile.tissue, 1);
    EXPECT_TRUE(places.emplace(tile.x, tile.y).second);
  }
  EXPECT_EQ(plan({.size = 100, .mpp = 0.5, .tissue = 0}).tiles.size(), 60U);
  EXPECT_EQ(plan({.size = 100, .mpp = 0.5, .stride = 50, .tissue = 0}).tiles.size(), 19U * 11U);
  // At twice the microns a tile is twice as wide.
  EXPECT_EQ(plan({.size = 100, .mpp = 1.0, .tissue = 0}).tiles.size(), 5U * 3U);
}

TEST(TilePlan, ASlideSmallerThanATileIsOne) {
  const TilePlan one = plan({.size = 2000, .mpp = 0.5, .tissue = 0});
  ASSERT_EQ(one.tiles.size(), 1U);
  EXPECT_EQ(one.tiles[0].x, 0);
}

TEST(TilePlan, RandomPlacesHaveTissueAndComeFromSeedAndSlideAlone) {
  const TileOptions options{.size = 60,
                            .mpp = 0.5,
                            .places = TileOptions::Places::kRandom,
                            .per_slide = 40,
                            .tissue = 0.9};
  const TilePlan drawn = plan(options, 3);
  ASSERT_EQ(drawn.tiles.size(), 40U);
  for (const Tile& tile : drawn.tiles) {
    EXPECT_GE(tile.tissue, 0.9);
    EXPECT_LE(tile.x + 60, 510);
    EXPECT_LE(tile.y + 60, 600);
  }
  const auto places = [](const TilePlan& p) {
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    for (const Tile& tile : p.tiles) all.emplace_back(tile.y, tile.x);
    return all;
  };
  EXPECT_EQ(places(plan(options, 3)), places(drawn));
  EXPECT_NE(places(plan(options, 4)), places(drawn));
  TileOptions other = options;
  other.seed = 1;
  EXPECT_NE(places(plan(other, 3)), places(drawn));
  EXPECT_TRUE(std::ranges::is_sorted(places(drawn)));
}

TEST(TilePlan, WhereThereIsNoTissueNothingIsDrawnForEver) {
  const TileOptions options{
      .size = 60, .mpp = 0.5, .places = TileOptions::Places::kRandom, .per_slide = 40, .tissue = 1};
  const slides::SlideInfo info = slide(0.5, {{1000, 600, 1}});
  const TissueMask glass(glass_with(100, 60, 0, 0, 0, 0), 10, 10);
  EXPECT_TRUE(
      plan_tiles(info, tile_scale(info, options, "a"), glass, options, "a", 0).tiles.empty());
}

TEST(TilePlan, FewerOfTheGridAreOfTheGrid) {
  const TilePlan few = plan({.size = 100, .mpp = 0.5, .per_slide = 7, .tissue = 0});
  EXPECT_EQ(few.tiles.size(), 7U);
  for (const Tile& tile : few.tiles) EXPECT_EQ(tile.x % 100 + tile.y % 100, 0);
  EXPECT_THAT(said([] { plan({.places = TileOptions::Places::kRandom}); }), HasSubstr("per_slide"));
}

}  // namespace
}  // namespace detente::data
