// SPDX-License-Identifier: Apache-2.0
// A picture in memory, and what brings pictures to one form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

struct ImageShape {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 0;  // 1 grey; 3 red, green, blue

  std::size_t pixels() const { return height * width; }
  std::size_t size() const { return pixels() * channels; }
  bool operator==(const ImageShape&) const = default;
};

struct Image {
  ImageShape shape;
  std::vector<std::uint8_t> values;  // row by row, the channels of a pixel together
};

// Height and width: bilinear, with half-pixel centres; where an axis shrinks, the triangle is as
// wide as the step (antialiased). Rounded to the nearest number; a constant image stays constant.
// Both at least 1.
Image resize(const Image& image, std::size_t height, std::size_t width);
// Keeps the proportions: the image is scaled until it covers the size, then cut about its centre.
Image resize_and_crop(const Image& image, std::size_t height, std::size_t width);

// 1 to 3: repeated. 3 to 1: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), rounded.
Image with_channels(const Image& image, std::size_t channels);

// As it is to be shown when EXIF says `orientation`, 1..8; any other number changes nothing.
Image oriented(const Image& image, int orientation);

}  // namespace detente::data
