// SPDX-License-Identifier: Apache-2.0
// A small convolutional trunk for images (data/image_source.h): blocks, then one hidden layer.
//
//   x_l = maxpool₂(relu(norm(conv_k(x_{l−1}))))      l = 1, ..., one per entry of `channels`
//   features = dropout(relu(W vec(x_L) + b))
//
// The pool halves both sides and rounds down. Group normalisation has groups of at least four
// channels, at most eight.
#pragma once

#include <detente/nn/conv_blocks.h>
#include <detente/nn/image_trunk.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class ConvTrunk final : public ImageTrunk {
 public:
  const char* kind() const override { return "convnet"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<ConvTrunk>(*this); }
  std::int64_t width() const override { return blocks_.hidden; }

  // kInvalidArgument for images that the pools leave nothing of.
  void build(const data::ImageShape& shape, Draw& draw) override;

 protected:
  at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const override;

 private:
  ConvBlocks blocks_{.channels = {32, 64}};
};

}  // namespace detente::nn
