// SPDX-License-Identifier: Apache-2.0
// Files that hold many images of one size.
//
//   idx       as MNIST is published: a big-endian header and bytes; images [N, H, W] or
//             [N, H, W, C] and, in a file of their own, labels [N]
//   CIFAR-10  records of one label byte and 3 x 32 x 32 bytes: all red, all green, all blue
//
// Either may be gzipped.
#pragma once

#include <detente/data/image.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

struct ImageBlock {
  ImageShape shape;
  std::size_t count = 0;
  std::vector<std::uint8_t> values;  // count x height x width x channels
};

struct LabelledBlock {
  ImageBlock images;
  std::vector<std::uint8_t> labels;
};

// Whether the content is what it says to the byte.
bool is_idx(std::string_view bytes);
bool is_cifar10(std::string_view bytes);

// Each throws kData, naming `source`: a wrong magic number, a count that does not fit the file's
// size, no image, sides above 32,768, another number of channels than 1 or 3.
ImageBlock parse_idx_images(std::string_view bytes, const std::string& source);
std::vector<std::uint8_t> parse_idx_labels(std::string_view bytes, const std::string& source);
LabelledBlock parse_cifar10(std::string_view bytes, const std::string& source);

// Where the labels of `images` are by custom: "images" becomes "labels", "idx3" (or "idx4") "idx1" in the
// file's name. Empty for a name without "images".
std::string idx_labels_file(const std::string& images);

}  // namespace detente::data
