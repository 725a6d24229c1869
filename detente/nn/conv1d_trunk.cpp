// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv1d_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {

void Conv1dTrunk::describe(FieldVisitor& model) {
  blocks_.describe(
      model,
      "Channels of the blocks, each a convolution along time, a normalisation, relu and a "
      "pool that halves the frames.",
      "Frames that a convolution looks at; odd.",
      99);
}

void Conv1dTrunk::validate() const { blocks_.validate("nn::Conv1dTrunk"); }

void Conv1dTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  DETENTE_DCHECK(shape.height == 1);
  shape_ = shape;
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  std::size_t frames = shape.width;
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    const auto out = static_cast<std::int64_t>(blocks_.channels[i]);
    const double deviation = std::sqrt(2.0 / static_cast<double>(out * blocks_.kernel));
    parameters_.add(ConvBlocks::name(i, "conv") + ".weight",
                    draw.normal({out, in, 1, blocks_.kernel}, deviation));
    add_image_norm(parameters_, ConvBlocks::name(i, "norm"), out, blocks_.norm);
    in = out;
    frames /= 2;
  }
  DETENTE_CHECK(frames > 0,
                ErrorCode::kInvalidArgument,
                "[nn::Conv1dTrunk] {} blocks halve {} frames to nothing; expected fewer blocks "
                "(model.channels) or more frames (data.frames).",
                blocks_.channels.size(),
                shape.width);
  parameters_.add_linear(draw, "hidden", in, blocks_.hidden);
}

// Of two dimensions, one of them 1: what the engine and ONNX know of convolutions and pools.
at::Tensor Conv1dTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    const at::Tensor& weight = parameters_(ConvBlocks::name(i, "conv") + ".weight");
    x = torch::conv2d(
        x, weight, {}, /*stride=*/Sizes{1, 1}, /*padding=*/Sizes{0, blocks_.kernel / 2});
    x = image_norm(parameters_,
                   x,
                   ConvBlocks::name(i, "norm"),
                   blocks_.norm,
                   ConvBlocks::groups(x.size(1)),
                   statistics);
    x = torch::max_pool2d(torch::relu(x), {1, 2});
  }
  return drop(torch::relu(parameters_.linear(x.mean({2, 3}), "hidden")), blocks_.dropout);
}

}  // namespace detente::nn
