// SPDX-License-Identifier: Apache-2.0
// Wide residual networks for small images (Zagoruyko and Komodakis 2016), without their last layer,
// as Oliver et al. (2018) use them for learning with few labels: WRN-depth-widen.
//
//   conv1 3×3 to 16 channels; three stages of n = (depth − 4)/6 blocks, of 16, 32 and 64 times
//   `widen` channels, the first block of the second and third with stride 2; norm, leaky ReLU, mean
//   over the places.
//   A block is norm, leaky ReLU, 3×3, norm, leaky ReLU, 3×3 and the block's input added, through a
//   1×1 convolution where the shape changes. The very first block adds its input after its first norm
//   and leaky ReLU, the others as it came.
//
// Names: "conv1.weight", "block1.0.bn1.weight", "block1.0.conv1.weight", "block1.0.shortcut.weight",
// ..., "bn1.weight"; convolutions have no bias. WRN-28-2 with ten classes (128 · 10 + 10 more) has
// 1,467,610 parameters.
#pragma once

#include <detente/core/rng.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>

namespace detente::nn {

struct WideResNetOptions {
  std::int64_t depth = 28;  // 6 n + 4, n >= 1
  std::int64_t widen = 2;   // >= 1
  double leak = 0.1;        // slope of the leaky ReLU below 0
  ImageNorm norm = ImageNorm::kGroup;
  std::int64_t channels = 3;  // of the images
};

// kInvalidArgument for another depth.
void check_wide_resnet(const WideResNetOptions& options);
void add_wide_resnet(Parameters& parameters, Draw& draw, const WideResNetOptions& options);
// [B, channels, H, W] → [B, 64 widen].
at::Tensor wide_resnet(const Parameters& parameters,
                       const at::Tensor& images,
                       const WideResNetOptions& options,
                       BatchStatistics statistics);
inline std::int64_t wide_resnet_width(const WideResNetOptions& options) {
  return 64 * options.widen;
}

}  // namespace detente::nn
