// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv3d_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {

void Conv3dTrunk::describe(FieldVisitor& model) {
  blocks_.describe(
      model,
      "Channels of the blocks, each a convolution over space and time, a normalisation, "
      "relu and a pool that halves both sides and the frames.",
      "Side of the convolutions and the frames that they look at; odd.",
      33);
}

void Conv3dTrunk::validate() const { blocks_.validate("nn::Conv3dTrunk"); }

void Conv3dTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  shape_ = shape;
  frames_ = std::max<std::size_t>(frames_, 1);
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    const auto out = static_cast<std::int64_t>(blocks_.channels[i]);
    const auto fan_out =
        static_cast<double>(out * blocks_.kernel * blocks_.kernel * blocks_.kernel);
    parameters_.add(ConvBlocks::name(i, "conv") + ".weight",
                    draw.normal({out, in, blocks_.kernel, blocks_.kernel, blocks_.kernel},
                                std::sqrt(2.0 / fan_out)));
    add_image_norm(parameters_, ConvBlocks::name(i, "norm"), out, blocks_.norm);
    in = out;
  }
  DETENTE_CHECK(std::min(shape.height, shape.width) >> blocks_.channels.size() > 0,
                ErrorCode::kInvalidArgument,
                "[nn::Conv3dTrunk] {} blocks halve frames of {} x {} pixels to nothing; expected "
                "fewer blocks (model.channels) or larger frames (data.size).",
                blocks_.channels.size(),
                shape.height,
                shape.width);
  parameters_.add_linear(draw, "hidden", in, blocks_.hidden);
}

at::Tensor Conv3dTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  std::size_t frames = frames_;
  for (std::size_t i = 0; i < blocks_.channels.size(); ++i) {
    const at::Tensor& weight = parameters_(ConvBlocks::name(i, "conv") + ".weight");
    x = torch::conv3d(x, weight, {}, /*stride=*/1, /*padding=*/blocks_.kernel / 2);
    x = image_norm(parameters_,
                   x,
                   ConvBlocks::name(i, "norm"),
                   blocks_.norm,
                   ConvBlocks::groups(x.size(1)),
                   statistics);
    x = torch::max_pool3d(torch::relu(x), Sizes{frames > 1 ? 2 : 1, 2, 2});
    if (frames > 1) frames /= 2;
  }
  return drop(torch::relu(parameters_.linear(x.mean({2, 3, 4}), "hidden")), blocks_.dropout);
}

}  // namespace detente::nn
