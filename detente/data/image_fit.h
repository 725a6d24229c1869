// SPDX-License-Identifier: Apache-2.0
// What training images, or frames of clips, teach about reading others: their size and channels, each
// channel's mean and deviation, and the classes.
#pragma once

#include <detente/data/image.h>
#include <detente/data/image_rows.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace detente::data {

inline constexpr double kLongestSide = 32768;

struct ImageFit {
  ImageShape shape;           // of one image
  std::vector<double> means;  // per channel, in 0..255
  std::vector<double> deviations;
  ClassTable classes;

  // How often each byte stands in each channel: exact sums in whatever order.
  using Counts = std::vector<std::array<std::uint64_t, 256>>;
  // Adds values that have their channels next to each other.
  static void count(std::span<const std::uint8_t> values, Counts& counts);
  // Takes means and deviations; a constant channel has deviation 1 and is told, by its number.
  void scale(const Counts& counts,
             const std::function<void(std::size_t channel, double value)>& constant);

  // `format` is the file's first key; exact on reload.
  void save(const std::filesystem::path& file, const char* format) const;
  // Throws kIo, and kData, its message opened by `where` in brackets, for what was not saved so.
  static ImageFit load(const std::filesystem::path& file, const char* format, const char* where);
};

}  // namespace detente::data
