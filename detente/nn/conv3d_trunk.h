// SPDX-License-Identifier: Apache-2.0
// A small network that looks at whole clips (data/video_source.h): blocks, the mean over space and time,
// then one hidden layer.
//
//   x_l = maxpool₂(relu(norm(conv_k(x_{l−1}))))      l = 1, ..., one per entry of `channels`
//   features = dropout(relu(W mean(x_L) + b))
//
// Convolution and pool are of three dimensions (Tran et al. 2015); the pool halves both sides and,
// while there is more than one, the frames, and rounds down. Groups of the normalisation as of
// ConvTrunk.
#pragma once

#include <detente/nn/conv_blocks.h>
#include <detente/nn/image_trunk.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class Conv3dTrunk final : public ImageTrunk {
 public:
  const char* kind() const override { return "convnet3d"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<Conv3dTrunk>(*this); }
  std::int64_t width() const override { return blocks_.hidden; }

  using ImageTrunk::build;
  // Of a frame. kInvalidArgument for frames that the pools leave nothing of.
  void build(const data::ImageShape& shape, Draw& draw) override;

 protected:
  bool whole_clips() const override { return true; }
  at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const override;

 private:
  ConvBlocks blocks_{.channels = {16, 32, 64}};
};

}  // namespace detente::nn
