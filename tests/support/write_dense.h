// SPDX-License-Identifier: Apache-2.0
// Made-up images with maps, in both forms of data/dense_file.h.
#pragma once

#include <detente/core/npy.h>
#include <detente/core/rng.h>
#include <detente/data/dense_file.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::test {

// A container: examples of `shape` whose bytes come from `seed`. Labels lie below `classes`, one pixel in
// eight has none; depths are 1 to 5000 millimetres or none; normals have some length or none.
inline std::string dense_container(std::uint32_t count,
                                   const data::DenseShape& shape,
                                   int classes,
                                   bool geometry,
                                   std::uint64_t seed = 0) {
  std::string bytes = "DNS1";
  const auto number = [&](std::size_t value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 255U);
  };
  for (const std::size_t value : {std::size_t{count}, shape.height, shape.width, shape.channels}) {
    number(value, 4);
  }
  Rng rng(seed);
  const std::size_t pixels = count * shape.pixels();
  for (std::size_t i = 0; i < pixels * shape.channels; ++i) number(rng.below(256), 1);
  for (std::size_t i = 0; i < pixels; ++i) {
    number(rng.below(8) == 0 ? 255 : rng.below(static_cast<std::uint64_t>(classes)), 1);
  }
  if (!geometry) return bytes;
  for (std::size_t i = 0; i < pixels; ++i) number(rng.below(4) == 0 ? 0 : 1 + rng.below(5000), 2);
  for (std::size_t i = 0; i < pixels; ++i) {
    const bool none = rng.below(4) == 0;
    for (int c = 0; c < 3; ++c) number(none ? 0 : 1 + rng.below(127), 1);
  }
  return bytes;
}

// A container of pictures that can be learnt from: 16 x 16, a red box (class 1) near by that looks up,
// sometimes a green one (class 2), before a grey wall (class 0) that looks at the camera. One pixel in
// sixteen has no class, depth and normal.
inline std::string dense_scenes(std::uint32_t count, std::uint64_t seed) {
  constexpr std::size_t kSide = 16;
  struct Thing {
    int label, red, green, depth, x, y, z;
  };
  constexpr Thing kThings[] = {{0, 90, 90, 3000, 0, 0, -127},
                               {1, 220, 60, 1000, 0, -127, 0},
                               {2, 50, 210, 1500, -127, 0, 0}};
  std::string header = "DNS1";
  std::string images;
  std::string labels;
  std::string depths;
  std::string normals;
  for (const std::uint32_t value : {count, 16U, 16U, 3U}) {
    for (int i = 0; i < 4; ++i) header += static_cast<char>(value >> (8 * i) & 255U);
  }
  Rng rng(seed);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::vector<int> things(kSide * kSide, 0);
    for (const int thing : {2, 1}) {
      if (thing == 2 && rng.below(2) == 0) continue;
      const std::size_t top = rng.below(10);
      const std::size_t left = rng.below(10);
      for (std::size_t y = top; y < top + 6; ++y) {
        for (std::size_t x = left; x < left + 6; ++x) things[y * kSide + x] = thing;
      }
    }
    for (const int at : things) {
      const Thing& thing = kThings[at];
      const auto shade = [&](int value) {
        images += static_cast<char>(value + static_cast<int>(rng.below(30)));
      };
      shade(thing.red);
      shade(thing.green);
      shade(60);
      const bool none = rng.below(16) == 0;
      labels += static_cast<char>(none ? 255 : thing.label);
      const int depth = none ? 0 : thing.depth;
      depths += static_cast<char>(depth & 255);
      depths += static_cast<char>(depth >> 8);
      for (const int side : {thing.x, thing.y, thing.z})
        normals += static_cast<char>(none ? 0 : side);
    }
  }
  return header + images + labels + depths + normals;
}

// The same as folders of .npy files.
inline void write_dense_folder(const std::filesystem::path& folder, const data::DenseMaps& maps) {
  const std::size_t height = maps.shape.height;
  const std::size_t width = maps.shape.width;
  const std::size_t pixels = maps.shape.pixels();
  const auto write =
      [&](const std::string& kind, std::size_t i, std::size_t channels, const auto& from) {
        if (from.empty()) return;
        std::filesystem::create_directories(folder / kind);
        std::vector<double> values;
        for (std::size_t p = 0; p < pixels; ++p) {
          for (std::size_t c = 0; c < channels; ++c) {
            values.push_back(static_cast<double>(from[(i * channels + c) * pixels + p]));
          }
        }
        std::vector<std::size_t> shape = {height, width};
        if (kind != "label") shape.push_back(channels);
        write_npy(folder / kind / (std::to_string(i) + ".npy"), shape, values.data());
      };
  for (std::size_t i = 0; i < maps.count; ++i) {
    write("image", i, maps.shape.channels, maps.image);
    write("label", i, 1, maps.label);
    write("depth", i, 1, maps.depth);
    write("normal", i, 3, maps.normal);
  }
}

}  // namespace detente::test
