// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {

void ConvTrunk::describe(FieldVisitor& model) {
  blocks_.describe(
      model,
      "Channels of the blocks, each a convolution, a normalisation, relu and a pool that "
      "halves both sides.",
      "Side of the convolutions; odd.",
      99);
}

void ConvTrunk::validate() const { blocks_.validate("nn::ConvTrunk"); }

void ConvTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  shape_ = shape;
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  auto height = static_cast<std::int64_t>(shape.height);
  auto width = static_cast<std::int64_t>(shape.width);
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    const auto out = static_cast<std::int64_t>(blocks_.channels[i]);
    add_convolution(parameters_, draw, ConvBlocks::name(i, "conv"), in, out, blocks_.kernel);
    add_image_norm(parameters_, ConvBlocks::name(i, "norm"), out, blocks_.norm);
    in = out;
    height /= 2;
    width /= 2;
  }
  DETENTE_CHECK(height > 0 && width > 0,
                ErrorCode::kInvalidArgument,
                "[nn::ConvTrunk] {} blocks halve images of {} x {} pixels to nothing; expected "
                "fewer blocks (model.channels) or larger images (data.size).",
                blocks_.channels.size(),
                shape.height,
                shape.width);
  parameters_.add_linear(draw, "hidden", in * height * width, blocks_.hidden);
}

at::Tensor ConvTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    x = convolution(parameters_, x, ConvBlocks::name(i, "conv"));
    x = image_norm(parameters_,
                   x,
                   ConvBlocks::name(i, "norm"),
                   blocks_.norm,
                   ConvBlocks::groups(x.size(1)),
                   statistics);
    x = torch::max_pool2d(torch::relu(x), 2);
  }
  return drop(torch::relu(parameters_.linear(x.flatten(1), "hidden")), blocks_.dropout);
}

}  // namespace detente::nn
