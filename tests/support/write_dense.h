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
