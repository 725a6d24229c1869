// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/tile_plan.h>

#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

constexpr double kObjectiveMpp = 10;  // of an objective's power of one
constexpr double kTolerance = 1e-3;   // of a resolution
constexpr double kOverviewScale = 32;
constexpr double kOverviewSides = 8;  // mask pixels along a tile
constexpr double kLongestOverview = 4096;
constexpr std::int64_t kDraws = 200;  // for one random tile
constexpr std::size_t kMostTiles = 5'000'000;

std::int64_t nearest(double value) { return static_cast<std::int64_t>(std::llround(value)); }

// The smallest level whose pixels are not larger than `downsample` of level 0.
int level_for(const std::vector<slides::Level>& levels, double downsample) {
  int best = 0;
  for (std::size_t l = 1; l < levels.size(); ++l) {
    const double own = levels[l].downsample;
    if (own <= downsample * (1 + kTolerance) &&
        own > levels[static_cast<std::size_t>(best)].downsample) {
      best = static_cast<int>(l);
    }
  }
  return best;
}

void draw_places(const slides::SlideInfo& info,
                 const TissueMask& mask,
                 const TileOptions& options,
                 Rng rng,
                 TilePlan& plan) {
  const slides::Level& whole = info.levels.front();
  const auto right =
      static_cast<std::uint64_t>(std::max<std::int64_t>(whole.width - plan.scale.width, 0));
  const auto bottom =
      static_cast<std::uint64_t>(std::max<std::int64_t>(whole.height - plan.scale.height, 0));
  const auto wanted = static_cast<std::size_t>(options.per_slide);
  for (std::int64_t i = 0; i < options.per_slide * kDraws && plan.tiles.size() < wanted; ++i) {
    Tile tile{static_cast<std::int64_t>(rng.below(right + 1)),
              static_cast<std::int64_t>(rng.below(bottom + 1)),
              0};
    tile.tissue = mask.share(tile.x, tile.y, plan.scale.width, plan.scale.height);
    if (tile.tissue < options.tissue) {
      ++plan.without_tissue;
    } else {
      plan.tiles.push_back(tile);
    }
  }
}

void lay_grid(const slides::SlideInfo& info,
              const TissueMask& mask,
              const TileOptions& options,
              const std::string& file,
              TilePlan& plan) {
  const slides::Level& whole = info.levels.front();
  const double stride = static_cast<double>(options.stride > 0 ? options.stride : options.size) /
                        static_cast<double>(options.size);
  const double step_x = stride * static_cast<double>(plan.scale.width);
  const double step_y = stride * static_cast<double>(plan.scale.height);
  const auto count = [&](std::int64_t side, std::int64_t tile, double step) {
    return side < tile ? 1 : static_cast<std::int64_t>(static_cast<double>(side - tile) / step) + 1;
  };
  const std::int64_t columns = count(whole.width, plan.scale.width, step_x);
  const std::int64_t rows = count(whole.height, plan.scale.height, step_y);
  DETENTE_CHECK(
      static_cast<double>(columns) * static_cast<double>(rows) <= static_cast<double>(kMostTiles),
      ErrorCode::kData,
      "[data::plan_tiles] '{}' has {} x {} places for tiles; expected at most {}. Choose a "
      "coarser mpp, larger tiles or data.tiles: random.",
      file,
      columns,
      rows,
      kMostTiles);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      Tile tile{nearest(static_cast<double>(column) * step_x),
                nearest(static_cast<double>(row) * step_y),
                0};
      tile.tissue = mask.share(tile.x, tile.y, plan.scale.width, plan.scale.height);
      if (tile.tissue < options.tissue) {
        ++plan.without_tissue;
      } else {
        plan.tiles.push_back(tile);
      }
    }
  }
}

}  // namespace

void TileOptions::describe(FieldVisitor& data) {
  data.integer("tile", size, {.min = 8, .max = 8192}, "Side of a tile, in pixels.");
  data.number("mpp",
              mpp,
              {.min = 0, .max = 1000, .min_open = true},
              "Microns that a tile's pixel is wide: 0.25 is what 40x shows, 0.5 20x, 1 10x.");
  data.number("slide_mpp",
              slide_mpp,
              {.min = 0, .max = 1000},
              "Microns per pixel of slides whose files do not say; 0: such a slide is an error.");
  data.choice("tiles",
              places,
              {{"grid", Places::kGrid}, {"random", Places::kRandom}},
              "grid: side by side, `stride` apart; random: per_slide of them anywhere.");
  data.integer("stride",
               stride,
               {.min = 0, .max = 1e6},
               "Pixels from one tile of the grid to the next; 0: as wide as a tile.");
  data.integer("per_slide",
               per_slide,
               {.min = 0, .max = 1e6},
               "At most so many tiles of a slide, drawn by tile_seed; 0: all of the grid.");
  data.integer("tile_seed", seed, {.min = 0, .max = 9e15}, "Decides which.");
  data.number("tissue",
              tissue,
              {.min = 0, .max = 1},
              "Tiles with a smaller share of tissue (saturation above Otsu's threshold) are left "
              "out.");
}

void TileOptions::check() const {
  DETENTE_CHECK(places == Places::kGrid || per_slide > 0,
                ErrorCode::kInvalidArgument,
                "[data::TileOptions] 'data.tiles: random' without 'data.per_slide' is no number of "
                "tiles; say how many of each slide.");
}

TileScale tile_scale(const slides::SlideInfo& info,
                     const TileOptions& options,
                     const std::string& file) {
  TileScale scale;
  if (info.mpp_x > 0 && info.mpp_y > 0) {
    scale.mpp_x = info.mpp_x;
    scale.mpp_y = info.mpp_y;
    scale.origin = "file";
  } else if (info.objective_power > 0) {
    scale.mpp_x = scale.mpp_y = kObjectiveMpp / info.objective_power;
    scale.origin = "objective";
  } else {
    DETENTE_CHECK(options.slide_mpp > 0,
                  ErrorCode::kData,
                  "[data::tile_scale] '{}' does not say how many microns its pixels are wide; if "
                  "you know, set data.slide_mpp (--slide-mpp).",
                  file);
    scale.mpp_x = scale.mpp_y = options.slide_mpp;
    scale.origin = "data.slide_mpp";
  }
  const double down_x = options.mpp / scale.mpp_x;
  const double down_y = options.mpp / scale.mpp_y;
  DETENTE_CHECK(std::min(down_x, down_y) >= 1 - kTolerance,
                ErrorCode::kData,
                "[data::tile_scale] '{}' has {} microns per pixel, which is coarser than the {} of "
                "its tiles; expected data.mpp of that or more.",
                file,
                number_text(std::max(scale.mpp_x, scale.mpp_y)),
                number_text(options.mpp));
  const auto size = static_cast<double>(options.size);
  scale.width = std::max(nearest(size * down_x), options.size);
  scale.height = std::max(nearest(size * down_y), options.size);
  scale.level = level_for(info.levels, std::min(down_x, down_y));
  const double own = info.levels[static_cast<std::size_t>(scale.level)].downsample;
  scale.read_width = std::max(nearest(size * down_x / own), options.size);
  scale.read_height = std::max(nearest(size * down_y / own), options.size);
  return scale;
}

slides::Region small_region(const slides::SlideInfo& info, std::int64_t side) {
  const slides::Level& whole = info.levels.front();
  const double down = std::max(
      1.0, static_cast<double>(std::max(whole.width, whole.height)) / static_cast<double>(side));
  slides::Region region;
  region.level = level_for(info.levels, down);
  const slides::Level& level = info.levels[static_cast<std::size_t>(region.level)];
  region.width = level.width;
  region.height = level.height;
  const auto shrunk = [&](std::int64_t full, std::int64_t most) {
    return std::clamp<std::int64_t>(nearest(static_cast<double>(full) / down), 1, most);
  };
  region.out_width = shrunk(whole.width, level.width);
  region.out_height = shrunk(whole.height, level.height);
  return region;
}

slides::Region overview_region(const slides::SlideInfo& info, const TileScale& scale) {
  const slides::Level& whole = info.levels.front();
  const auto longest = static_cast<double>(std::max(whole.width, whole.height));
  const double down =
      std::max(1.0,
               std::min(kOverviewScale,
                        static_cast<double>(std::min(scale.width, scale.height)) / kOverviewSides));
  return small_region(info, nearest(std::min(kLongestOverview, std::max(1.0, longest / down))));
}

std::pair<double, double> overview_scale(const slides::SlideInfo& info,
                                         const slides::Region& region) {
  const slides::Level& whole = info.levels.front();
  return {static_cast<double>(whole.width) / static_cast<double>(region.out_width),
          static_cast<double>(whole.height) / static_cast<double>(region.out_height)};
}

slides::Region tile_region(const TileScale& scale,
                           std::int64_t x,
                           std::int64_t y,
                           std::int64_t size) {
  return {.x = x,
          .y = y,
          .level = scale.level,
          .width = scale.read_width,
          .height = scale.read_height,
          .out_width = size,
          .out_height = size};
}

TilePlan plan_tiles(const slides::SlideInfo& info,
                    const TileScale& scale,
                    const TissueMask& mask,
                    const TileOptions& options,
                    const std::string& file,
                    std::uint64_t slide) {
  options.check();
  TilePlan plan{.scale = scale, .tiles = {}, .without_tissue = 0};
  Rng rng = Rng(static_cast<std::uint64_t>(options.seed)).fork(0x74696c6573).fork(slide);
  if (options.places == TileOptions::Places::kRandom) {
    draw_places(info, mask, options, rng, plan);
  } else {
    lay_grid(info, mask, options, file, plan);
    const auto most = static_cast<std::size_t>(options.per_slide);
    if (most > 0 && plan.tiles.size() > most) {
      rng.shuffle(plan.tiles);
      plan.tiles.resize(most);
    }
  }
  std::sort(plan.tiles.begin(), plan.tiles.end(), [](const Tile& a, const Tile& b) {
    return a.y != b.y ? a.y < b.y : a.x < b.x;
  });
  return plan;
}

}  // namespace detente::data
