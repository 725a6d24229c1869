// SPDX-License-Identifier: Apache-2.0
// Images and the maps that belong to them, whole in memory, from two forms:
//
//   container  "DNS1"; uint32 little-endian N, H, W, C (C = 1 or 3); N·H·W·C bytes of images (rows from
//              the top, channels last); N·H·W bytes of class ids (255: none). Either the end, or
//              N·H·W uint16 little-endian depths in millimetres (0: none) and N·H·W·3 int8 normals
//              times 127 (all 0: none), which are brought to length 1. gzip or not.
//   folder     as MTAN's code reads it: image/0.npy, 1.npy, ... [H, W, C]; label/i.npy [H, W], class
//              ids, -1 for none; depth/i.npy [H, W, 1] or [H, W], 0 for none; normal/i.npy [H, W, 3],
//              all 0 for none. float32 or float64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

struct DenseShape {
  std::size_t channels = 0;  // of the image
  std::size_t height = 0;
  std::size_t width = 0;

  std::size_t pixels() const { return height * width; }
  friend bool operator==(const DenseShape&, const DenseShape&) = default;
};

// Planes: a map of C channels is C times H × W, rows from the top.
struct DenseMaps {
  static constexpr std::int16_t kNoClass = -1;

  std::size_t count = 0;
  DenseShape shape;
  std::vector<float> image;
  std::vector<std::int16_t> label;  // kNoClass: none; empty: not there, as of the others
  std::vector<float> depth;         // metres (container) or the files' unit; 0: none
  std::vector<float> normal;        // 3 channels; all 0: none
  std::vector<std::string> names;   // of each example's file, or its place in the container
};

// What is wanted beside the images.
struct DenseWish {
  bool label = true;
  bool depth = true;
  bool normal = true;
  std::string label_folder = "label";
  std::size_t memory = SIZE_MAX;  // bytes that the result may take
};

// The number of examples. Throws kIo, kData.
std::size_t count_dense(const std::filesystem::path& path, bool is_folder);

// The examples of these places, in their order. Throws kIo (missing files), kData, naming the file:
// another magic number, a size that does not fit the header, maps of several sizes, NaN and infinity,
// labels that are no whole numbers from -1 on, depths below 0; a map that is wanted and not there;
// more than the memory allows.
DenseMaps read_dense(const std::filesystem::path& path,
                     std::span<const std::size_t> examples,
                     const DenseWish& wish);

// A whole container from memory.
DenseMaps parse_dense(std::string_view bytes, const std::string& source);

}  // namespace detente::data
