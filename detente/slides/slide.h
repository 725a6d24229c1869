// SPDX-License-Identifier: Apache-2.0
// What a whole slide is to those who read from it: pictures of one thing at several sizes (levels), and what
// the file says of itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace detente::slides {

struct Level {
  std::int64_t width = 0;
  std::int64_t height = 0;
  double downsample = 1;  // pixels of level 0 per pixel of this one, the mean of both axes
};

// A picture beside the slide: "label", "macro", "thumbnail".
struct AssociatedImage {
  std::string name;
  std::int64_t width = 0;
  std::int64_t height = 0;
};

struct SlideInfo {
  std::string vendor;         // as OpenSlide calls the format: "aperio", "generic-tiff"
  std::vector<Level> levels;  // from the largest on, at least one
  double mpp_x = 0;           // microns per pixel of level 0; 0: the file does not say
  double mpp_y = 0;
  double objective_power = 0;           // the same
  std::uint32_t background = 0xffffff;  // 0xRRGGBB, what transparent pixels are laid over
  std::vector<AssociatedImage> associated;
  std::map<std::string, std::string> properties;  // all of the file's, UTF-8
};

// A part of a level, and how large it is wanted.
struct Region {
  std::int64_t x = 0;  // upper left corner in pixels of level 0; may lie outside, as may the rest
  std::int64_t y = 0;
  int level = 0;
  std::int64_t width = 0;  // in pixels of the level, >= 1
  std::int64_t height = 0;
  // Of the picture: >= 1 and at most width and height. Each pixel is the mean over the area that it covers.
  std::int64_t out_width = 0;
  std::int64_t out_height = 0;
};

// Red, green and blue of each pixel, row by row; what is transparent lies over the slide's background.
struct Picture {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> values;
};

}  // namespace detente::slides
