// SPDX-License-Identifier: Apache-2.0
// Slides that are drawn, not scanned: to try what reads slides without having any, and for the recipe
// slides_tiff. They look a little like stained tissue and stand for nothing medical.
//
// A slide is glass with three or four patches, each of one of three textures (kTissues), a stain of its own that
// darkens all colours alike, and out of focus by `blur`: a Gaussian of that deviation, in pixels.
#pragma once

#include <detente/slides/slide.h>

#include <array>
#include <cstdint>
#include <string>

namespace detente::data {

inline constexpr std::array<const char*, 3> kTissues = {"stroma", "gland", "fat"};

struct MadeSlide {
  slides::Picture picture;
  std::string geojson;  // the patches, as polygons with their textures' names
  double blur = 0;      // 0 to 4
};

// `size`: its sides in pixels. A function of seed and number alone. Throws kInvalidArgument for a size below 64
// or above 8192.
MadeSlide make_slide(std::int64_t size, std::uint64_t seed, std::uint64_t number);

}  // namespace detente::data
