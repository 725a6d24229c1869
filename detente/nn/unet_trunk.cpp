// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/options.h>
#include <detente/nn/segnet.h>
#include <detente/nn/unet_trunk.h>
#include <torch/types.h>

namespace detente::nn {
namespace {

constexpr std::size_t kMostLevels = 12;

std::string level_name(const char* half, std::size_t level) {
  return std::string(half) + "." + std::to_string(level);
}

}  // namespace

void UNetTrunk::describe(FieldVisitor& model) {
  model.numbers("channels",
                channels_,
                {.min = 1, .max = 65536},
                "Channels of the levels, the full resolution first; each further one has half its "
                "sides.");
  model.choice("norm",
               norm_,
               {{"group", ImageNorm::kGroup}, {"batch", ImageNorm::kBatch}},
               "group: each example by itself; batch: over the batch, with running statistics for "
               "predictions.");
}

void UNetTrunk::validate() const {
  check_sizes("nn::UNetTrunk", "channels", channels_, "level");
  DETENTE_CHECK(channels_.size() <= kMostLevels,
                ErrorCode::kInvalidArgument,
                "[nn::UNetTrunk] 'channels' has {} levels; expected at most {}.",
                channels_.size(),
                kMostLevels);
}

void UNetTrunk::add_two(Draw& draw, const std::string& name, std::int64_t in, std::int64_t out) {
  for (const char* layer : {".0", ".1"}) {
    add_convolution(parameters_, draw, name + layer + ".conv", in, out, 3);
    add_image_norm(parameters_, name + layer + ".norm", out, norm_);
    in = out;
  }
}

at::Tensor UNetTrunk::two(at::Tensor x, const std::string& name, BatchStatistics statistics) const {
  for (const char* layer : {".0", ".1"}) {
    x = convolution(parameters_, x, name + layer + ".conv");
    x = torch::relu(segnet_norm(parameters_, x, name + layer + ".norm", norm_, statistics));
  }
  return x;
}

void UNetTrunk::add_layers(Draw& draw) {
  const auto width = [&](std::size_t level) { return static_cast<std::int64_t>(channels_[level]); };
  auto in = static_cast<std::int64_t>(shape_.channels);
  for (std::size_t level = 0; level < channels_.size(); ++level) {
    add_two(draw, level_name("down", level), in, width(level));
    in = width(level);
  }
  for (std::size_t level = channels_.size() - 1; level-- > 0;) {
    add_two(draw, level_name("up", level), width(level) + width(level + 1), width(level));
  }
}

TensorList UNetTrunk::forward(const at::Tensor& images, BatchStatistics statistics) const {
  TensorList levels;
  at::Tensor x = images;
  for (std::size_t level = 0; level < channels_.size(); ++level) {
    if (level > 0) x = torch::max_pool2d(x, 2, 2);
    x = two(x, level_name("down", level), statistics);
    levels.push_back(x);
  }
  for (std::size_t level = channels_.size() - 1; level-- > 0;) {
    const at::Tensor& beside = levels[level];
    x = torch::upsample_bilinear2d(x, {beside.size(2), beside.size(3)}, /*align_corners=*/true);
    x = two(torch::cat({beside, x}, 1), level_name("up", level), statistics);
  }
  return {x};
}

}  // namespace detente::nn
