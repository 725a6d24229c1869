// SPDX-License-Identifier: Apache-2.0
// From OpenSlide's pixels to ours: laid over a background, and made smaller by the mean over areas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::slides {

// Premultiplied ARGB to red, green, blue. Of a pixel without opacity: the background (0xRRGGBB). Of one with
// some, a of 255, its own colour, c * 255 / a rounded, at most 255: what is partly there counts as there, as in
// OpenSlide's own bindings, and is not mixed with the background.
void lay_over_background(std::span<const std::uint32_t> argb,
                         std::uint32_t background,
                         std::uint8_t* rgb);

// A picture of width x height pixels as one of out_width x out_height, each at least 1 and none larger than its
// side. A pixel is the mean over the area that it covers, weights by covered area: exact in whole numbers,
// rounded once (halves upwards). width * height <= 2^40.
class AreaMean {
 public:
  // `out`: 3 * out_width * out_height bytes, kept until the end.
  AreaMean(std::int64_t width,
           std::int64_t height,
           std::int64_t out_width,
           std::int64_t out_height,
           std::uint8_t* out);

  // Of how many rows at once a strip may be, for so many bytes of memory; at least 1.
  std::int64_t rows_within(std::size_t bytes) const;
  // The next strip of rows begins; it ends where the one after it does, or at the last row.
  void begin_strip(std::int64_t rows);
  // Row `row` of the strip from column `x` on. Each pixel of a strip comes once, in any order; at most 2^24 at a
  // time.
  void add(std::int64_t row, std::int64_t x, std::span<const std::uint8_t> rgb);
  // What the strip completes is written.
  void end_strip();

 private:
  void sum_parts(std::int64_t x,
                 std::span<const std::uint8_t> rgb,
                 std::int64_t first,
                 std::int64_t last);
  void add_line(std::int64_t row, std::int64_t first);

  std::int64_t width_, height_, out_width_, out_height_;
  std::uint8_t* out_;
  // Sides without what they have in common with their source's.
  std::uint64_t parts_x_, parts_y_, whole_x_, whole_y_;
  std::int64_t strip_ = 0;  // first row and number of rows
  std::int64_t rows_ = 0;
  std::int64_t first_ = 0;           // of the output's rows in sums_
  std::vector<std::uint64_t> sums_;  // per row, pixel and colour
  std::vector<std::uint64_t> line_;  // of one row of the source
};

}  // namespace detente::slides
