// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/wide_resnet.h>
#include <torch/types.h>

#include <string>
#include <vector>

namespace detente::nn {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr std::int64_t kStem = 16;
constexpr std::int64_t kStages = 3;

struct Block {
  std::string name;  // "block2.0."
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t stride = 1;
  bool first = false;  // of the network

  bool has_shortcut() const { return stride != 1 || in != out; }
};

std::vector<Block> blocks_of(const WideResNetOptions& options) {
  std::vector<Block> blocks;
  std::int64_t in = kStem;
  for (std::int64_t stage = 0; stage < kStages; ++stage) {
    const std::int64_t out = (kStem << stage) * options.widen;
    for (std::int64_t i = 0; i < (options.depth - 4) / 6; ++i) {
      const std::string name = "block" + std::to_string(stage + 1) + "." + std::to_string(i) + ".";
      blocks.push_back({name, in, out, i == 0 && stage > 0 ? 2 : 1, blocks.empty()});
      in = out;
    }
  }
  return blocks;
}

}  // namespace

void check_wide_resnet(const WideResNetOptions& options) {
  DETENTE_CHECK(options.depth >= 10 && options.depth % 6 == 4,
                ErrorCode::kInvalidArgument,
                "[nn::wide_resnet] 'depth' is {}; expected 4 more than a multiple of 6: 10, 16, "
                "22, 28, ...",
                options.depth);
}

void add_wide_resnet(Parameters& parameters, Draw& draw, const WideResNetOptions& options) {
  check_wide_resnet(options);
  add_convolution(parameters, draw, "conv1", options.channels, kStem, 3);
  for (const Block& block : blocks_of(options)) {
    add_image_norm(parameters, block.name + "bn1", block.in, options.norm);
    add_convolution(parameters, draw, block.name + "conv1", block.in, block.out, 3);
    add_image_norm(parameters, block.name + "bn2", block.out, options.norm);
    add_convolution(parameters, draw, block.name + "conv2", block.out, block.out, 3);
    if (!block.has_shortcut()) continue;
    add_convolution(parameters, draw, block.name + "shortcut", block.in, block.out, 1);
  }
  add_image_norm(parameters, "bn1", wide_resnet_width(options), options.norm);
}

at::Tensor wide_resnet(const Parameters& parameters,
                       const at::Tensor& images,
                       const WideResNetOptions& options,
                       BatchStatistics statistics) {
  const auto activated = [&](const at::Tensor& x, const std::string& name) {
    return torch::leaky_relu(image_norm(parameters, x, name, options.norm, kGroups, statistics),
                             options.leak);
  };
  at::Tensor x = convolution(parameters, images, "conv1");
  for (const Block& block : blocks_of(options)) {
    at::Tensor y = activated(x, block.name + "bn1");
    if (block.first) x = y;
    y = convolution(parameters, y, block.name + "conv1", block.stride);
    y = convolution(parameters, activated(y, block.name + "bn2"), block.name + "conv2");
    x = y + (block.has_shortcut()
                 ? convolution(parameters, x, block.name + "shortcut", block.stride)
                 : x);
  }
  return activated(x, "bn1").mean({2, 3});
}

}  // namespace detente::nn
