// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/slides/sample_slide.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace detente::slides {
namespace {

constexpr std::uint16_t kAscii = 2;
constexpr std::uint16_t kShort = 3;
constexpr std::uint16_t kLong = 4;
constexpr std::uint16_t kRational = 5;

void append(std::string& bytes, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xffU);
}

struct Entry {
  std::uint16_t tag;
  std::uint16_t type;
  std::uint32_t count;
  std::string value;
};

Entry numbers(std::uint16_t tag, std::uint16_t type, const std::vector<std::uint32_t>& values) {
  Entry entry{tag, type, static_cast<std::uint32_t>(values.size()), {}};
  for (const std::uint32_t value : values) append(entry.value, value, type == kShort ? 2 : 4);
  if (type == kRational) entry.count /= 2;
  return entry;
}

// The tiles of a level behind `file`; where each begins.
std::vector<std::uint32_t> write_tiles(std::string& file, const Picture& level, std::int64_t tile) {
  std::vector<std::uint32_t> offsets;
  for (std::int64_t y = 0; y < level.height; y += tile) {
    for (std::int64_t x = 0; x < level.width; x += tile) {
      offsets.push_back(static_cast<std::uint32_t>(file.size()));
      std::string bytes(static_cast<std::size_t>(tile * tile * 3), '\0');
      for (std::int64_t row = 0; row < std::min(tile, level.height - y); ++row) {
        const auto from = level.values.begin() + ((y + row) * level.width + x) * 3;
        std::copy_n(from, std::min(tile, level.width - x) * 3, bytes.begin() + row * tile * 3);
      }
      file += bytes;
    }
  }
  return offsets;
}

// A directory and what its entries point to, behind `file`; where the number of the next one stands.
std::size_t write_directory(std::string& file, const std::vector<Entry>& entries) {
  std::string directory;
  std::string pointed;
  const std::size_t after = file.size() + 2 + entries.size() * 12 + 4;
  append(directory, static_cast<std::uint32_t>(entries.size()), 2);
  for (const Entry& entry : entries) {
    append(directory, entry.tag, 2);
    append(directory, entry.type, 2);
    append(directory, entry.count, 4);
    if (entry.value.size() <= 4) {
      directory += entry.value + std::string(4 - entry.value.size(), '\0');
    } else {
      append(directory, static_cast<std::uint32_t>(after + pointed.size()), 4);
      pointed += entry.value;
      if (pointed.size() % 2 != 0) pointed += '\0';
    }
  }
  file += directory;
  const std::size_t next = file.size();
  append(file, 0, 4);
  file += pointed;
  return next;
}

void put(std::string& file, std::size_t at, std::uint32_t value) {
  std::string bytes;
  append(bytes, value, 4);
  file.replace(at, 4, bytes);
}

}  // namespace

std::string sample_slide(const Picture& picture, const SampleOptions& options) {
  DETENTE_CHECK(
      picture.width >= 1 && picture.height >= 1 && picture.width <= 1 << 14 &&
          picture.height <= 1 << 14 && options.levels >= 1 && options.levels <= 15 &&
          options.tile >= 32 && options.tile % 32 == 0 &&
          picture.values.size() == static_cast<std::size_t>(picture.width * picture.height * 3),
      ErrorCode::kInvalidArgument,
      "[slides::sample_slide] expected a picture of 1 to 16384 pixels a side, 1 to 15 levels "
      "and tiles of a multiple of 32.");
  std::string file("II*\0\0\0\0\0", 8);
  std::size_t next = 4;
  Picture level = picture;
  for (int i = 0; i < options.levels; ++i) {
    const auto offsets = write_tiles(file, level, options.tile);
    const auto size = static_cast<std::uint32_t>(options.tile * options.tile * 3);
    const auto tile = static_cast<std::uint32_t>(options.tile);
    std::vector<Entry> entries;
    entries.push_back(numbers(254, kLong, {i == 0 ? 0U : 1U}));
    entries.push_back(numbers(256, kLong, {static_cast<std::uint32_t>(level.width)}));
    entries.push_back(numbers(257, kLong, {static_cast<std::uint32_t>(level.height)}));
    entries.push_back(numbers(258, kShort, {8, 8, 8}));
    entries.push_back(numbers(259, kShort, {1}));
    entries.push_back(numbers(262, kShort, {2}));
    if (!options.description.empty()) {
      const std::string text = options.description + '\0';
      entries.push_back({270, kAscii, static_cast<std::uint32_t>(text.size()), text});
    }
    entries.push_back(numbers(277, kShort, {3}));
    if (options.microns_per_pixel > 0) {
      // Pixels per centimetre, in thousandths.
      const double per_cm = 1e4 / options.microns_per_pixel / std::pow(2.0, i);
      const auto scaled = static_cast<std::uint32_t>(std::lround(per_cm * 1000));
      entries.push_back(numbers(282, kRational, {scaled, 1000}));
      entries.push_back(numbers(283, kRational, {scaled, 1000}));
    }
    entries.push_back(numbers(284, kShort, {1}));
    if (options.microns_per_pixel > 0) entries.push_back(numbers(296, kShort, {3}));
    entries.push_back(numbers(322, kLong, {tile}));
    entries.push_back(numbers(323, kLong, {tile}));
    entries.push_back(numbers(324, kLong, offsets));
    entries.push_back(numbers(325, kLong, std::vector<std::uint32_t>(offsets.size(), size)));
    if (file.size() % 2 != 0) file += '\0';
    put(file, next, static_cast<std::uint32_t>(file.size()));
    next = write_directory(file, entries);
    level = half_of(level);
  }
  return file;
}

Picture sample_picture(std::int64_t width, std::int64_t height) {
  Picture picture{.width = width, .height = height};
  picture.values.reserve(static_cast<std::size_t>(width * height * 3));
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const std::array<std::int64_t, 3> color = {x * 7 + y, y * 5 + x / 3, (x * y) / 2 + x};
      for (const std::int64_t c : color) picture.values.push_back(static_cast<std::uint8_t>(c));
    }
  }
  return picture;
}

Picture half_of(const Picture& picture) {
  Picture half{.width = (picture.width + 1) / 2, .height = (picture.height + 1) / 2};
  half.values.reserve(static_cast<std::size_t>(half.width * half.height * 3));
  for (std::int64_t y = 0; y < half.height; ++y) {
    for (std::int64_t x = 0; x < half.width; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        unsigned sum = 0;
        for (std::int64_t i = 0; i < 4; ++i) {
          // The last row and column of an odd side count twice.
          const std::int64_t row = std::min(2 * y + i / 2, picture.height - 1);
          const std::int64_t column = std::min(2 * x + i % 2, picture.width - 1);
          sum += picture.values[static_cast<std::size_t>((row * picture.width + column) * 3 + c)];
        }
        half.values.push_back(static_cast<std::uint8_t>((sum + 2) / 4));
      }
    }
  }
  return half;
}

}  // namespace detente::slides
