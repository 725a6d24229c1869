// SPDX-License-Identifier: Apache-2.0
// Which squares of a slide are examples: by microns per pixel (mpp), so that slides of different scanners show
// things in one size.
//
//   resolution  a tile of `size` pixels at `mpp` is read from the smallest level that is not coarser than
//               that, and averaged down by what remains. A slide's own mpp is the file's, else 10 / the
//               objective's power (40x: 0.25), else `slide_mpp`; it is never guessed.
//   grid        upper left corners every `stride` pixels from the slide's own; whole tiles only, but for a
//               slide smaller than one
//   random      `per_slide` places, uniform over the slide
//   tissue      tiles with a smaller share of tissue (data/tissue.h) are left out
//
// The plan is a function of the slide, its number, the options and the seed.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/tissue.h>
#include <detente/slides/slide_reader.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {

struct TileOptions {
  enum class Places { kGrid, kRandom };

  std::int64_t size = 256;
  double mpp = 0.5;
  double slide_mpp = 0;  // 0: an error where the file says nothing
  Places places = Places::kGrid;
  std::int64_t stride = 0;     // 0: size
  std::int64_t per_slide = 0;  // at most; 0: all of the grid
  std::int64_t seed = 0;
  double tissue = 0.1;

  void describe(FieldVisitor& visitor);
  // Rules between options; throws kInvalidArgument.
  void check() const;
};

// How tiles are read from one slide.
struct TileScale {
  double mpp_x = 0;  // of level 0
  double mpp_y = 0;
  int level = 0;
  std::int64_t read_width = 0;  // pixels of the level
  std::int64_t read_height = 0;
  std::int64_t width = 0;  // of a tile, in pixels of level 0
  std::int64_t height = 0;
  std::string origin;  // of mpp: "file", "objective" or "data.slide_mpp"
};

// Throws kData, naming the file: no resolution known, or one coarser than the tiles are to have.
TileScale tile_scale(const slides::SlideInfo& info,
                     const TileOptions& options,
                     const std::string& file);

struct Tile {
  std::int64_t x = 0;  // upper left corner, in pixels of level 0
  std::int64_t y = 0;
  double tissue = 0;  // share
};

struct TilePlan {
  TileScale scale;
  std::vector<Tile> tiles;         // by y, then x
  std::size_t without_tissue = 0;  // tiles of the grid, or places that were drawn
};

// All of a slide, its longer side `side` pixels, or as many as it has.
slides::Region small_region(const slides::SlideInfo& info, std::int64_t side);

// The whole slide small, for the mask: each pixel 32 of level 0, or fewer where tiles are small (8 to a tile),
// more where that has more than 4096 a side. And how many pixels of level 0 its pixels are in x and y.
slides::Region overview_region(const slides::SlideInfo& info, const TileScale& scale);
std::pair<double, double> overview_scale(const slides::SlideInfo& info,
                                         const slides::Region& region);

// The region of one tile.
slides::Region tile_region(const TileScale& scale,
                           std::int64_t x,
                           std::int64_t y,
                           std::int64_t size);

// `slide`: the slide's number, for what is drawn. Throws kData, naming the file, for more than five million places.
TilePlan plan_tiles(const slides::SlideInfo& info,
                    const TileScale& scale,
                    const TissueMask& mask,
                    const TileOptions& options,
                    const std::string& file,
                    std::uint64_t slide);

}  // namespace detente::data
