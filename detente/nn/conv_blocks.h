// SPDX-License-Identifier: Apache-2.0
// What the small convolutional networks share (conv_trunk.h, conv1d_trunk.h, conv3d_trunk.h): their
// options, and how the parameters of a block are called and normalised.
#pragma once

#include <detente/core/fields.h>
#include <detente/nn/image_layers.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace detente::nn {

struct ConvBlocks {
  std::vector<double> channels;  // whole numbers, one per block
  std::int64_t kernel = 3;
  std::int64_t hidden = 128;
  ImageNorm norm = ImageNorm::kGroup;
  double dropout = 0.1;

  // `block` and `side` say in the documentation what a block and the kernel are; `largest`: of the kernel.
  void describe(FieldVisitor& model, const char* block, const char* side, double largest);
  // Throws kInvalidArgument, its message opened by `where` in brackets.
  void validate(const char* where) const;

  // "blocks.0.conv".
  static std::string name(std::size_t block, const char* layer);
  // Groups of a block's group normalisation: of at least four channels, at most eight.
  static std::int64_t groups(std::int64_t channels);
};

}  // namespace detente::nn
