// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {
namespace {

// A channel normalised by itself no longer says how bright an image is; four together do better.
std::int64_t conv_trunk_groups(std::int64_t channels) {
  return std::clamp<std::int64_t>(channels / 4, 1, 8);
}

std::string block_name(std::size_t i, const char* layer) {
  return "blocks." + std::to_string(i) + "." + layer;
}

}  // namespace

void ConvTrunk::describe(FieldVisitor& model) {
  model.numbers("channels",
                channels_,
                {.min = 1, .max = 65536},
                "Channels of the blocks, each a convolution, a normalisation, relu and a pool that "
                "halves both sides.");
  model.integer("kernel", kernel_, {.min = 1, .max = 99}, "Side of the convolutions; odd.");
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

void ConvTrunk::validate() const {
  check_sizes("nn::ConvTrunk", "channels", channels_, "block");
  DETENTE_CHECK(kernel_ % 2 == 1,
                ErrorCode::kInvalidArgument,
                "[nn::ConvTrunk] 'kernel' is {}; expected an odd number.",
                kernel_);
}

void ConvTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  shape_ = shape;
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  auto height = static_cast<std::int64_t>(shape.height);
  auto width = static_cast<std::int64_t>(shape.width);
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(channels_[i]);
    add_convolution(parameters_, draw, block_name(i, "conv"), in, out, kernel_);
    add_image_norm(parameters_, block_name(i, "norm"), out, norm_);
    in = out;
    height /= 2;
    width /= 2;
  }
  DETENTE_CHECK(height > 0 && width > 0,
                ErrorCode::kInvalidArgument,
                "[nn::ConvTrunk] {} blocks halve images of {} x {} pixels to nothing; expected "
                "fewer blocks (model.channels) or larger images (data.size).",
                channels_.size(),
                shape.height,
                shape.width);
  parameters_.add_linear(draw, "hidden", in * height * width, hidden_);
}

at::Tensor ConvTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    x = convolution(parameters_, x, block_name(i, "conv"));
    x = image_norm(
        parameters_, x, block_name(i, "norm"), norm_, conv_trunk_groups(x.size(1)), statistics);
    x = torch::max_pool2d(torch::relu(x), 2);
  }
  return drop(torch::relu(parameters_.linear(x.flatten(1), "hidden")), dropout_);
}

}  // namespace detente::nn
