// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/conv1d_trunk.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace detente::nn {
namespace {

std::int64_t conv1d_groups(std::int64_t channels) {
  return std::clamp<std::int64_t>(channels / 4, 1, 8);
}

std::string conv1d_name(std::size_t i, const char* layer) {
  return "blocks." + std::to_string(i) + "." + layer;
}

}  // namespace

void Conv1dTrunk::describe(FieldVisitor& model) {
  model.numbers(
      "channels",
      channels_,
      {.min = 1, .max = 65536},
      "Channels of the blocks, each a convolution along time, a normalisation, relu and a "
      "pool that halves the frames.");
  model.integer(
      "kernel", kernel_, {.min = 1, .max = 99}, "Frames that a convolution looks at; odd.");
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

void Conv1dTrunk::validate() const {
  check_sizes("nn::Conv1dTrunk", "channels", channels_, "block");
  DETENTE_CHECK(kernel_ % 2 == 1,
                ErrorCode::kInvalidArgument,
                "[nn::Conv1dTrunk] 'kernel' is {}; expected an odd number.",
                kernel_);
}

void Conv1dTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  DETENTE_DCHECK(shape.height == 1);
  shape_ = shape;
  parameters_ = Parameters();
  auto in = static_cast<std::int64_t>(shape.channels);
  std::size_t frames = shape.width;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(channels_[i]);
    const double deviation = std::sqrt(2.0 / static_cast<double>(out * kernel_));
    parameters_.add(conv1d_name(i, "conv") + ".weight",
                    draw.normal({out, in, 1, kernel_}, deviation));
    add_image_norm(parameters_, conv1d_name(i, "norm"), out, norm_);
    in = out;
    frames /= 2;
  }
  DETENTE_CHECK(frames > 0,
                ErrorCode::kInvalidArgument,
                "[nn::Conv1dTrunk] {} blocks halve {} frames to nothing; expected fewer blocks "
                "(model.channels) or more frames (data.frames).",
                channels_.size(),
                shape.width);
  parameters_.add_linear(draw, "hidden", in, hidden_);
}

// Of two dimensions, one of them 1: what the engine and ONNX know of convolutions and pools.
at::Tensor Conv1dTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const {
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const at::Tensor& weight = parameters_(conv1d_name(i, "conv") + ".weight");
    x = torch::conv2d(x, weight, {}, /*stride=*/Sizes{1, 1}, /*padding=*/Sizes{0, kernel_ / 2});
    x = image_norm(
        parameters_, x, conv1d_name(i, "norm"), norm_, conv1d_groups(x.size(1)), statistics);
    x = torch::max_pool2d(torch::relu(x), {1, 2});
  }
  return drop(torch::relu(parameters_.linear(x.mean({2, 3}), "hidden")), dropout_);
}

}  // namespace detente::nn
