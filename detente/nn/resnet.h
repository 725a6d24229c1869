// SPDX-License-Identifier: Apache-2.0
// Residual networks (He et al. 2016) without their last layer, on named parameters.
//
//   depth 18, 34: blocks of two 3×3 convolutions; 50: of 1×1, 3×3, 1×1, four times as wide at the
//   end. Where a stage halves the image, the 3×3 of its first block does, as in torchvision.
//   small: for images of about 32 pixels: the stem is a 3×3 convolution without stride, and there is
//   no pool (the CIFAR variant).
//
// Names and shapes are torchvision's ("layer1.0.conv1.weight", "bn1.weight", ...), but for
// num_batches_tracked; with norm group the "bn" are group normalisations with at most 32 groups.
#pragma once

#include <detente/core/rng.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>

namespace detente::nn {

struct ResNetOptions {
  std::int64_t depth = 18;  // 18, 34 or 50
  bool small = false;
  ImageNorm norm = ImageNorm::kGroup;
  std::int64_t channels = 3;  // of the images
};

// kInvalidArgument for another depth.
void check_resnet(const ResNetOptions& options);
void add_resnet(Parameters& parameters, Draw& draw, const ResNetOptions& options);
// [B, channels, H, W] → [B, resnet_width]: the mean over the places of the last stage.
at::Tensor resnet(const Parameters& parameters,
                  const at::Tensor& images,
                  const ResNetOptions& options,
                  BatchStatistics statistics);
std::int64_t resnet_width(const ResNetOptions& options);  // 512, or 2048 for depth 50

}  // namespace detente::nn
