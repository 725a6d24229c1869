// SPDX-License-Identifier: Apache-2.0
// Colours that readers with any kind of colour vision can tell apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace detente::report {

struct Color {
  std::uint8_t r = 0;
  std::uint8_t g = 0;
  std::uint8_t b = 0;
  double alpha = 1.0;

  std::string hex() const;  // "#4477aa", without alpha
  Color with_alpha(double value) const { return {r, g, b, value}; }
  bool operator==(const Color&) const = default;
};

// 0xRRGGBB.
constexpr Color rgb(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 16U),
          static_cast<std::uint8_t>(value >> 8U),
          static_cast<std::uint8_t>(value),
          1.0};
}

// t = 0 gives a, t = 1 gives b.
Color mix(Color a, Color b, double t);

// The i-th colour for lines, marks and legend entries; repeats after line_color_count().
Color line_color(std::size_t i);
std::size_t line_color_count();

// A perceptually even ramp for t in [0, 1]: dark violet, magenta, orange, light yellow.
Color ramp_color(double t);

}  // namespace detente::report
