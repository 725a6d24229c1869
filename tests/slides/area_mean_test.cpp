// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/area_mean.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <vector>

namespace detente::slides {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

// By the definition: every pixel of the source cut into out_width x out_height equal parts, and those of an
// output's pixel counted.
std::vector<std::uint8_t> by_parts(const std::vector<std::uint8_t>& rgb,
                                   std::int64_t w,
                                   std::int64_t h,
                                   std::int64_t ow,
                                   std::int64_t oh) {
  std::vector<std::uint8_t> out;
  for (std::int64_t y = 0; y < oh; ++y) {
    for (std::int64_t x = 0; x < ow; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        std::int64_t sum = 0;
        for (std::int64_t j = y * h; j < (y + 1) * h; ++j) {
          for (std::int64_t i = x * w; i < (x + 1) * w; ++i) {
            sum += rgb[static_cast<std::size_t>(((j / oh) * w + i / ow) * 3 + c)];
          }
        }
        out.push_back(static_cast<std::uint8_t>((2 * sum + w * h) / (2 * w * h)));
      }
    }
  }
  return out;
}

std::vector<std::uint8_t> some_pixels(std::int64_t w, std::int64_t h, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> rgb(static_cast<std::size_t>(w * h * 3));
  std::generate(rgb.begin(), rgb.end(), [&] { return static_cast<std::uint8_t>(random()); });
  return rgb;
}

// In strips of `rows` and, within those, blocks of `columns`.
std::vector<std::uint8_t> in_blocks(const std::vector<std::uint8_t>& rgb,
                                    std::int64_t w,
                                    std::int64_t h,
                                    std::int64_t ow,
                                    std::int64_t oh,
                                    std::int64_t rows,
                                    std::int64_t columns) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(ow * oh * 3));
  AreaMean mean(w, h, ow, oh, out.data());
  for (std::int64_t y = 0; y < h; y += rows) {
    const std::int64_t high = std::min(rows, h - y);
    mean.begin_strip(high);
    for (std::int64_t x = 0; x < w; x += columns) {
      const std::int64_t wide = std::min(columns, w - x);
      for (std::int64_t i = 0; i < high; ++i) {
        mean.add(i,
                 x,
                 std::span(rgb).subspan(static_cast<std::size_t>(((y + i) * w + x) * 3),
                                        static_cast<std::size_t>(wide * 3)));
      }
    }
    mean.end_strip();
  }
  return out;
}

TEST(AreaMean, IsTheMeanOverTheCoveredAreaWhateverTheSizesAndBlocks) {
  for (std::int64_t w = 1; w <= 9; ++w) {
    for (std::int64_t h = 1; h <= 7; h += 2) {
      const auto rgb = some_pixels(w, h, static_cast<std::uint32_t>(w * 100 + h));
      for (std::int64_t ow = 1; ow <= w; ++ow) {
        for (std::int64_t oh = 1; oh <= h; ++oh) {
          const auto expected = by_parts(rgb, w, h, ow, oh);
          for (const auto& [rows, columns] :
               {std::pair<std::int64_t, std::int64_t>{h, w}, {1, w}, {2, 3}, {3, 1}}) {
            ASSERT_EQ(in_blocks(rgb, w, h, ow, oh, rows, columns), expected)
                << w << "x" << h << " to " << ow << "x" << oh << " by " << rows << "," << columns;
          }
        }
      }
    }
  }
}

TEST(AreaMean, LeavesOneColorAsItIs) {
  for (const int color : {0, 1, 127, 254, 255}) {
    const std::vector<std::uint8_t> rgb(601 * 17 * 3, static_cast<std::uint8_t>(color));
    EXPECT_THAT(in_blocks(rgb, 601, 17, 7, 16, 5, 100), Each(color));
  }
}

TEST(AreaMean, HasStripsWithinTheMemory) {
  std::vector<std::uint8_t> out(65536 * 3);
  AreaMean mean(1 << 20, 1 << 20, 65536, 1, out.data());
  EXPECT_GE(mean.rows_within(std::size_t{1} << 26), 1 << 20);  // all in one row of the output
  AreaMean flat(1 << 20, 64, 65536, 64, nullptr);
  EXPECT_EQ(flat.rows_within(std::size_t{65536} * 24 * 10), 8);
  EXPECT_EQ(flat.rows_within(1), 1);
}

TEST(LayOverBackground, GivesTheBackgroundWithoutOpacityAndElseTheOwnColor) {
  const std::vector<std::uint32_t> argb = {
      0x00000000, 0x00ffffff, 0xff010203, 0x80402010, 0x01010000, 0x02ff0101};
  std::vector<std::uint8_t> rgb(argb.size() * 3);
  lay_over_background(argb, 0xa0b0c0, rgb.data());
  // 0x40 * 255 / 0x80 = 127.5; more than the opacity allows is nonsense, and full.
  EXPECT_THAT(
      rgb,
      ElementsAre(
          0xa0, 0xb0, 0xc0, 0xa0, 0xb0, 0xc0, 1, 2, 3, 128, 64, 32, 255, 0, 0, 255, 128, 128));
}

}  // namespace
}  // namespace detente::slides
