// SPDX-License-Identifier: Apache-2.0
// Clips made from pictures, each moving over a black field at a constant speed in one of eight
// directions (after Moving MNIST, Srivastava et al. 2015). What leaves the field on one side comes in on
// the other, and the start is anywhere alike: where a picture is in one frame says nothing about where
// it moves.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/image.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::data {

struct MovingOptions {
  std::int64_t side = 0;   // of the field, in pixels; 0: nothing moves
  std::int64_t speed = 1;  // pixels a frame, along each axis that it moves along
  std::int64_t clips = 1;  // of each picture
  std::int64_t seed = 0;

  bool on() const { return side > 0; }
  void describe(FieldVisitor& visitor);
};

struct Motion {
  std::int64_t top = 0;  // of the picture's upper left corner in frame 0
  std::int64_t left = 0;
  std::size_t direction =
      0;  // 0 right, then against the clock: 1 right and up, 2 up, ... 7 right and down
};
inline constexpr std::size_t kDirections = 8;

// Of clip `clip` of the picture in row `row`: decided by the seed and the two alone.
Motion motion_of(const MovingOptions& options, std::size_t row, std::size_t clip);

// The field with the picture in frame `frame`; the larger value where a picture larger than the field
// would lie over itself. All of `image`'s channels.
Image moved(const Image& image,
            const MovingOptions& options,
            const Motion& motion,
            std::size_t frame);

}  // namespace detente::data
