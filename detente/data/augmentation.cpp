// SPDX-License-Identifier: Apache-2.0
#include <detente/data/augmentation.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace detente::data {
namespace {

constexpr double kSmallestErased = 0.02;
constexpr double kLargestErased = 0.33;
constexpr double kFlattestErased = 0.3;  // height to width; the steepest is 1 / that
constexpr int kEraseTries = 10;          // a rectangle that does not fit is drawn again

std::int64_t up_to(std::int64_t most, Rng& rng) {
  return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(2 * most + 1))) - most;
}

void change_light(std::span<float> image, double amount, Rng& rng) {
  const double brightness = rng.uniform(1 - amount, 1 + amount);
  const double contrast = rng.uniform(1 - amount, 1 + amount);
  const double mean = brightness * std::accumulate(image.begin(), image.end(), 0.0) /
                      static_cast<double>(image.size());
  for (float& value : image) {
    const double changed = mean + contrast * (brightness * value - mean);
    value = static_cast<float>(std::clamp(changed, 0.0, 255.0));
  }
}

void erase_rectangle(std::span<float> image,
                     const ImageShape& shape,
                     std::span<const double> mean,
                     Rng& rng) {
  for (int i = 0; i < kEraseTries; ++i) {
    const double area =
        rng.uniform(kSmallestErased, kLargestErased) * static_cast<double>(shape.pixels());
    // Flat and steep ones are as likely as each other.
    const double limit = -std::log(kFlattestErased);
    const double aspect = std::exp(rng.uniform(-limit, limit));
    const auto height = static_cast<std::size_t>(std::llround(std::sqrt(area * aspect)));
    const auto width = static_cast<std::size_t>(std::llround(std::sqrt(area / aspect)));
    if (height < 1 || width < 1 || height > shape.height || width > shape.width) continue;
    const std::size_t top = rng.below(shape.height - height + 1);
    const std::size_t left = rng.below(shape.width - width + 1);
    for (std::size_t c = 0; c < shape.channels; ++c) {
      for (std::size_t y = top; y < top + height; ++y) {
        const auto row = image.subspan(c * shape.pixels() + y * shape.width + left, width);
        std::fill(row.begin(), row.end(), static_cast<float>(mean[c]));
      }
    }
    return;
  }
}

// Where index i of a line of n lies when the line goes on mirrored on both sides.
std::int64_t mirrored(std::int64_t i, std::int64_t n) {
  if (n == 1) return 0;
  const std::int64_t period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

}  // namespace

void Augmentation::describe(FieldVisitor& visitor) {
  visitor.flag("flip", flip, "Left and right change places in every second image.");
  visitor.integer("crop",
                  crop,
                  {.min = 0, .max = 32768},
                  "Move by up to so many pixels in each direction; black comes in.");
  visitor.number("erase",
                 erase,
                 {.min = 0, .max = 1},
                 "Share of images in which a random rectangle becomes the mean colour.");
  visitor.number("jitter",
                 jitter,
                 {.min = 0, .max = 1},
                 "Change brightness and contrast by factors within 1 - jitter and 1 + jitter.");
  visitor.choice(
      "pad",
      pad,
      {{"black", Pad::kBlack}, {"reflect", Pad::kReflect}},
      "What comes in where crop has moved the image: black, or the image mirrored at its "
      "edge.");
  visitor.number("noise",
                 noise,
                 {.min = 0, .max = 1e6},
                 "Deviation of normal noise on every number as the network gets it.");
}

void Augmentation::apply(std::span<float> image,
                         const ImageShape& shape,
                         std::span<const double> mean,
                         Rng& rng) const {
  if (jitter > 0) change_light(image, jitter, rng);
  if (flip && rng.below(2) == 1) flip_columns(image, shape);
  if (crop > 0) {
    const std::int64_t down = up_to(crop, rng);
    const std::int64_t right = up_to(crop, rng);
    if (pad == Pad::kReflect) {
      shift_reflected(image, shape, down, right);
    } else {
      shift(image, shape, down, right);
    }
  }
  if (erase > 0 && rng.uniform() < erase) erase_rectangle(image, shape, mean, rng);
}

void Augmentation::add_noise(std::span<float> image, Rng& rng) const {
  if (noise <= 0) return;
  for (float& value : image) value += static_cast<float>(noise * rng.normal());
}

void flip_columns(std::span<float> image, const ImageShape& shape) {
  for (std::size_t row = 0; row < shape.channels * shape.height; ++row) {
    const auto line = image.subspan(row * shape.width, shape.width);
    std::reverse(line.begin(), line.end());
  }
}

void shift(std::span<float> image, const ImageShape& shape, std::int64_t down, std::int64_t right) {
  if (down == 0 && right == 0) return;
  const std::vector<float> was(image.begin(), image.end());
  std::fill(image.begin(), image.end(), 0.0F);
  const auto height = static_cast<std::int64_t>(shape.height);
  const auto width = static_cast<std::int64_t>(shape.width);
  const std::int64_t first = std::max<std::int64_t>(0, right);
  const std::int64_t count = width - std::abs(right);
  if (count <= 0) return;
  for (std::int64_t c = 0; c < static_cast<std::int64_t>(shape.channels); ++c) {
    for (std::int64_t y = std::max<std::int64_t>(0, down); y < std::min(height, height + down);
         ++y) {
      const auto from = was.begin() + (c * height + y - down) * width + first - right;
      std::copy(from, from + count, image.begin() + (c * height + y) * width + first);
    }
  }
}

void shift_reflected(std::span<float> image,
                     const ImageShape& shape,
                     std::int64_t down,
                     std::int64_t right) {
  if (down == 0 && right == 0) return;
  const std::vector<float> was(image.begin(), image.end());
  const auto height = static_cast<std::int64_t>(shape.height);
  const auto width = static_cast<std::int64_t>(shape.width);
  std::size_t i = 0;
  for (std::int64_t c = 0; c < static_cast<std::int64_t>(shape.channels); ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      const std::int64_t line = (c * height + mirrored(y - down, height)) * width;
      for (std::int64_t x = 0; x < width; ++x) {
        image[i++] = was[static_cast<std::size_t>(line + mirrored(x - right, width))];
      }
    }
  }
}

}  // namespace detente::data
