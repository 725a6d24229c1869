// SPDX-License-Identifier: Apache-2.0
// Small pictures made of pixels, for pages: colours for ids, numbers and directions, and PNG as text.
#pragma once

#include <detente/report/colors.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::report {

struct Pixels {
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint8_t> rgb;  // height × width × 3, rows from the top

  bool operator==(const Pixels&) const = default;
};

// Of pixels without a value.
inline constexpr Color kNothingColor = rgb(0xd0d7de);

// The colour of the i-th class: those of lines first, then others as far apart as they go.
Color class_color(std::size_t i);

// A pixel per value, kNothingColor for NaN. `ids`, `values`: height × width, rows from the top; throws kShape
// where their number is another.
Pixels class_pixels(std::span<const double> ids, std::size_t height, std::size_t width);
// From `low` (dark) to `high` (light) in 64 steps; values beyond are as the ends.
Pixels ramp_pixels(
    std::span<const double> values, std::size_t height, std::size_t width, double low, double high);
// Three planes x, y, z of vectors of any length: (v / |v| + 1) / 2 as red, green, blue.
Pixels direction_pixels(std::span<const double> planes, std::size_t height, std::size_t width);

// Smaller, each pixel the mean of those it stands for; a side that would grow stays. Sides of at least 1.
Pixels shrunk(const Pixels& pixels, std::size_t height, std::size_t width);

// A PNG file's bytes: with a palette where 256 colours do, else true colour. Neither side may be 0 or
// above 4096, and `rgb` must have its size: throws kShape.
std::string png_bytes(const Pixels& pixels);

// RFC 4648, with padding.
std::string base64(std::string_view bytes);
// Whether text is what base64(png_bytes(...)) may have made, as far as its first bytes and its alphabet
// show: it holds nothing that could end an attribute of a page.
bool is_png_text(std::string_view text);
// The same of a WAV file.
bool is_wav_text(std::string_view text);

}  // namespace detente::report
