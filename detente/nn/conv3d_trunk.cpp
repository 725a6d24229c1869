// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv3d_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {
namespace {

std::int64_t conv3d_groups(std::int64_t channels) {
  return std::clamp<std::int64_t>(channels / 4, 1, 8);
}

std::string conv3d_name(std::size_t i, const char* layer) {
  return "blocks." + std::to_string(i) + "." + layer;
}

}  // namespace

void Conv3dTrunk::describe(FieldVisitor& model) {
  model.numbers("channels",
                channels_,
                {.min = 1, .max = 65536},
                "Channels of the blocks, each a convolution over space and time, a normalisation, "
                "relu and a pool that halves both sides and the frames.");
  model.integer("kernel",
                kernel_,
                {.min = 1, .max = 33},
                "Side of the convolutions and the frames that they look at; odd.");
  model.integer("hidden", hidden_, {.min = 1, .max = 1e6}, "Width of the layer over the blocks.");
  model.choice("norm",
               norm_,
               {{"group", ImageNorm::kGroup}, {"batch", ImageNorm::kBatch}},
               "group: each example by itself, so that tasks and parts of a batch do not depend on "
               "each other; batch: over the batch, with running statistics for predictions.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of features dropped in training.");
}

void Conv3dTrunk::validate() const {
  check_sizes("nn::Conv3dTrunk", "channels", channels_, "block");
  DETENTE_CHECK(kernel_ % 2 == 1,
                ErrorCode::kInvalidArgument,
                "[nn::Conv3dTrunk] 'kernel' is {}; expected an odd number.",
                kernel_);
}

void Conv3dTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  shape_ = shape;
  frames_ = std::max<std::size_t>(frames_, 1);
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(channels_[i]);
    const auto fan_out = static_cast<double>(out * kernel_ * kernel_ * kernel_);
    parameters_.add(conv3d_name(i, "conv") + ".weight",
                    draw.normal({out, in, kernel_, kernel_, kernel_}, std::sqrt(2.0 / fan_out)));
    add_image_norm(parameters_, conv3d_name(i, "norm"), out, norm_);
    in = out;
  }
  DETENTE_CHECK(std::min(shape.height, shape.width) >> channels_.size() > 0,
                ErrorCode::kInvalidArgument,
                "[nn::Conv3dTrunk] {} blocks halve frames of {} x {} pixels to nothing; expected "
                "fewer blocks (model.channels) or larger frames (data.size).",
                channels_.size(),
                shape.height,
                shape.width);
  parameters_.add_linear(draw, "hidden", in, hidden_);
}

at::Tensor Conv3dTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  std::size_t frames = frames_;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const at::Tensor& weight = parameters_(conv3d_name(i, "conv") + ".weight");
    x = torch::conv3d(x, weight, {}, /*stride=*/1, /*padding=*/kernel_ / 2);
    x = image_norm(
        parameters_, x, conv3d_name(i, "norm"), norm_, conv3d_groups(x.size(1)), statistics);
    x = torch::max_pool3d(torch::relu(x), Sizes{frames > 1 ? 2 : 1, 2, 2});
    if (frames > 1) frames /= 2;
  }
  return drop(torch::relu(parameters_.linear(x.mean({2, 3, 4}), "hidden")), dropout_);
}

}  // namespace detente::nn
