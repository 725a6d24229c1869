// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>
#include <detente/data/moving_images.h>

#include <algorithm>

namespace detente::data {
namespace {

constexpr std::uint64_t kMotions = 0x6d6f76696e67;  // this use of the seed

std::int64_t wrapped(std::int64_t at, std::int64_t side) { return ((at % side) + side) % side; }

}  // namespace

void MovingOptions::describe(FieldVisitor& visitor) {
  visitor.integer(
      "side",
      side,
      {.min = 0, .max = 32768},
      "Clips are made of the images of an idx or CIFAR file, or of a list or folders of "
      "them, each moving over a black square of this side; 0: they are there already.");
  visitor.integer("speed", speed, {.min = 1, .max = 32768}, "Pixels a frame along each axis.");
  visitor.integer("clips", clips, {.min = 1, .max = 10000}, "Clips of each image.");
  visitor.integer("seed", seed, {.min = 0, .max = 9e15}, "Decides where and which way.");
}

Motion motion_of(const MovingOptions& options, std::size_t row, std::size_t clip) {
  const Rng image = Rng(static_cast<std::uint64_t>(options.seed)).fork(kMotions).fork(row);
  Rng rng = image.fork(clip);
  const auto side = static_cast<std::uint64_t>(options.side);
  Motion motion;
  motion.top = static_cast<std::int64_t>(rng.below(side));
  motion.left = static_cast<std::int64_t>(rng.below(side));
  motion.direction = rng.below(kDirections);
  return motion;
}

Image moved(const Image& image,
            const MovingOptions& options,
            const Motion& motion,
            std::size_t frame) {
  static constexpr std::int64_t kRight[kDirections] = {1, 1, 0, -1, -1, -1, 0, 1};
  static constexpr std::int64_t kDown[kDirections] = {0, -1, -1, -1, 0, 1, 1, 1};
  const std::int64_t steps = options.speed * static_cast<std::int64_t>(frame);
  const std::int64_t top = motion.top + steps * kDown[motion.direction];
  const std::int64_t left = motion.left + steps * kRight[motion.direction];
  const auto side = static_cast<std::size_t>(options.side);
  const std::size_t channels = image.shape.channels;
  Image field{{side, side, channels}, std::vector<std::uint8_t>(side * side * channels)};
  for (std::size_t y = 0; y < image.shape.height; ++y) {
    const auto row =
        static_cast<std::size_t>(wrapped(top + static_cast<std::int64_t>(y), options.side));
    for (std::size_t x = 0; x < image.shape.width; ++x) {
      const auto column =
          static_cast<std::size_t>(wrapped(left + static_cast<std::int64_t>(x), options.side));
      const std::uint8_t* from = image.values.data() + (y * image.shape.width + x) * channels;
      std::uint8_t* to = field.values.data() + (row * side + column) * channels;
      for (std::size_t c = 0; c < channels; ++c) to[c] = std::max(to[c], from[c]);
    }
  }
  return field;
}

}  // namespace detente::data
