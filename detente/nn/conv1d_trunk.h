// SPDX-License-Identifier: Apache-2.0
// A small network that looks along time alone (data/audio_source.h): blocks, the mean over time,
// then one hidden layer.
//
//   x_l = maxpool₂(relu(norm(conv_k(x_{l−1}))))      l = 1, ..., one per entry of `channels`
//   features = dropout(relu(W mean_t(x_L) + b))
//
// x_0 has a channel for each band of pitch. Convolution and pool are of one dimension; the pool
// halves the frames and rounds down. Because of the mean it matters little when in the recording
// something is heard. Groups of the normalisation as of ConvTrunk.
#pragma once

#include <detente/nn/conv_blocks.h>
#include <detente/nn/image_trunk.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class Conv1dTrunk final : public ImageTrunk {
 public:
  const char* kind() const override { return "convnet1d"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<Conv1dTrunk>(*this); }
  std::int64_t width() const override { return blocks_.hidden; }

  using ImageTrunk::build;
  // One pixel high. kInvalidArgument for recordings that the pools leave nothing of.
  void build(const data::ImageShape& shape, Draw& draw) override;

 protected:
  bool along_time() const override { return true; }
  at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const override;

 private:
  ConvBlocks blocks_{.channels = {64, 128, 128}, .kernel = 5};
};

}  // namespace detente::nn
