// SPDX-License-Identifier: Apache-2.0
// SegNet (Badrinarayanan et al. 2017) in the form that the code of MTAN, CAGrad, Nash-MTL and FAMO trains,
// on named parameters. A block is a 3×3 convolution with bias, a normalisation and relu.
//
//   encoder i = 0..4  a block f_{i−1} → f_i, then one more (i < 2) or two; a 2×2 max pool that keeps
//                     where its maxima were
//   decoder i = 4..0  each number back to where the maximum of encoder i was, zeros beside; a block
//                     f_i → f_{i−1} (i > 0, else f_0 → f_0), then one more (i < 2) or two
//
// f = width · (1, 2, 4, 8, 8); 24,943,296 parameters for width 64 and images of three channels. Sides that
// are odd lose a line in the pool and get it back, empty.
#pragma once

#include <detente/core/rng.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <array>
#include <cstdint>
#include <string>

namespace detente::nn {

inline constexpr std::size_t kSegNetStages = 5;

struct SegNetOptions {
  std::int64_t channels = 3;  // of the images
  std::int64_t width = 64;
  ImageNorm norm = ImageNorm::kBatch;

  std::array<std::int64_t, kSegNetStages> widths() const;
};

// By stage, the highest resolution first.
struct SegNetMaps {
  TensorList encoder_first;  // after a stage's first block
  TensorList encoder_last;   // before the pool
  TensorList unpooled;       // what the decoder's stage begins with
  TensorList decoder_last;   // [0]: [B, width, H, W]
};

void add_segnet(Parameters& parameters, Draw& draw, const SegNetOptions& options);
// [B, channels, H, W] with sides of 32 at least.
SegNetMaps segnet(const Parameters& parameters,
                  const at::Tensor& images,
                  const SegNetOptions& options,
                  BatchStatistics statistics);

// "name.conv.weight", "name.conv.bias", "name.norm. ...".
void add_segnet_block(Parameters& parameters,
                      Draw& draw,
                      const std::string& name,
                      std::int64_t in,
                      std::int64_t out,
                      ImageNorm norm);
at::Tensor segnet_block(const Parameters& parameters,
                        const at::Tensor& x,
                        const std::string& name,
                        ImageNorm norm,
                        BatchStatistics statistics);

// name.weight [out, in, kernel, kernel], normal with variance 2 / ((in + out) kernel²) (Glorot and Bengio
// 2010); name.bias 0.
void add_biased_convolution(Parameters& parameters,
                            Draw& draw,
                            const std::string& name,
                            std::int64_t in,
                            std::int64_t out,
                            std::int64_t kernel);
// Padded so that odd kernels keep the size.
at::Tensor biased_convolution(const Parameters& parameters,
                              const at::Tensor& x,
                              const std::string& name);

// Groups of at least four channels, at most eight.
at::Tensor segnet_norm(const Parameters& parameters,
                       const at::Tensor& x,
                       const std::string& name,
                       ImageNorm norm,
                       BatchStatistics statistics);

}  // namespace detente::nn
