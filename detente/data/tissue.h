// SPDX-License-Identifier: Apache-2.0
// Where on a slide there is something to see, from a small picture of all of it.
//
// Tissue is coloured, glass is not: a pixel is tissue where its saturation, 255 (max - min) / max of red,
// green and blue, is above Otsu's threshold (1979), the one that leaves the least variance within the two
// classes. On glass alone that would cut noise in two, so the threshold is never below kLeastSaturation.
#pragma once

#include <detente/slides/slide.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

inline constexpr int kLeastSaturation = 15;

// The largest value that belongs to the lower class, of a histogram over 0..255; 0 where all numbers are one
// value or there are none.
int otsu_threshold(std::span<const std::uint64_t, 256> counts);

class TissueMask {
 public:
  TissueMask() = default;
  // `scale_x`, `scale_y`: pixels of level 0 per pixel of the picture.
  TissueMask(const slides::Picture& picture, double scale_x, double scale_y);

  std::int64_t width() const { return width_; }
  std::int64_t height() const { return height_; }
  int threshold() const { return threshold_; }
  bool at(std::int64_t x, std::int64_t y) const;
  // Of all pixels.
  double share() const;
  // The share of tissue within a rectangle in pixels of level 0, by the mask's pixels whose centres lie in it
  // (none: the pixel it lies in). What is outside of the slide is glass.
  double share(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height) const;

 private:
  std::int64_t width_ = 0;
  std::int64_t height_ = 0;
  double scale_x_ = 1;
  double scale_y_ = 1;
  int threshold_ = 0;
  std::vector<std::uint32_t>
      sums_;  // (width + 1) x (height + 1), of all pixels above and to the left
};

// Mean and deviation of the optical density -log10((v + 1) / 256) of each channel over the tissue: what
// differs between scanners and stains. Zeros without tissue.
struct StainStatistics {
  std::array<double, 3> means{};
  std::array<double, 3> deviations{};
};
StainStatistics stain_statistics(const slides::Picture& picture, const TissueMask& mask);

}  // namespace detente::data
