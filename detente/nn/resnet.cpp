// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/resnet.h>
#include <torch/types.h>

#include <array>
#include <string>
#include <vector>

namespace detente::nn {
namespace {

constexpr std::int64_t kResNetGroups = 32;
constexpr std::int64_t kStem = 64;
constexpr std::int64_t kStages = 4;

std::array<std::int64_t, kStages> stage_blocks(std::int64_t depth) {
  if (depth == 18) return {2, 2, 2, 2};
  return {3, 4, 6, 3};  // 34 and 50
}

bool is_bottleneck(const ResNetOptions& options) { return options.depth >= 50; }

struct Block {
  std::string name;  // "layer2.0."
  std::int64_t in = 0;
  std::int64_t inner = 0;
  std::int64_t out = 0;
  std::int64_t stride = 1;

  bool has_shortcut() const { return stride != 1 || in != out; }
};

std::vector<Block> blocks_of(const ResNetOptions& options) {
  const auto counts = stage_blocks(options.depth);
  std::vector<Block> blocks;
  std::int64_t in = kStem;
  for (std::int64_t stage = 0; stage < kStages; ++stage) {
    const std::int64_t inner = kStem << stage;
    const std::int64_t out = is_bottleneck(options) ? 4 * inner : inner;
    for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(stage)]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i) + ".";
      blocks.push_back({name, in, inner, out, i == 0 && stage > 0 ? 2 : 1});
      in = out;
    }
  }
  return blocks;
}

struct BlockLayer {
  std::string number;  // "1", "2", "3"
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
};

std::vector<BlockLayer> layers_of(const Block& block, bool bottleneck) {
  if (bottleneck) {
    return {{"1", block.in, block.inner, 1, 1},
            {"2", block.inner, block.inner, 3, block.stride},
            {"3", block.inner, block.out, 1, 1}};
  }
  return {{"1", block.in, block.out, 3, block.stride}, {"2", block.out, block.out, 3, 1}};
}

}  // namespace

void check_resnet(const ResNetOptions& options) {
  DETENTE_CHECK(options.depth == 18 || options.depth == 34 || options.depth == 50,
                ErrorCode::kInvalidArgument,
                "[nn::resnet] 'depth' is {}; expected 18, 34 or 50.",
                options.depth);
}

std::int64_t resnet_width(const ResNetOptions& options) { return blocks_of(options).back().out; }

void add_resnet(Parameters& parameters, Draw& draw, const ResNetOptions& options) {
  check_resnet(options);
  add_convolution(parameters, draw, "conv1", options.channels, kStem, options.small ? 3 : 7);
  add_image_norm(parameters, "bn1", kStem, options.norm);
  for (const Block& block : blocks_of(options)) {
    for (const BlockLayer& layer : layers_of(block, is_bottleneck(options))) {
      add_convolution(
          parameters, draw, block.name + "conv" + layer.number, layer.in, layer.out, layer.kernel);
      add_image_norm(parameters, block.name + "bn" + layer.number, layer.out, options.norm);
    }
    if (!block.has_shortcut()) continue;
    add_convolution(parameters, draw, block.name + "downsample.0", block.in, block.out, 1);
    add_image_norm(parameters, block.name + "downsample.1", block.out, options.norm);
  }
}

at::Tensor resnet(const Parameters& parameters,
                  const at::Tensor& images,
                  const ResNetOptions& options,
                  BatchStatistics statistics) {
  const auto layer = [&](const at::Tensor& x,
                         const std::string& convolution_name,
                         const std::string& norm_name,
                         std::int64_t stride) {
    return image_norm(parameters,
                      convolution(parameters, x, convolution_name, stride),
                      norm_name,
                      options.norm,
                      kResNetGroups,
                      statistics);
  };
  at::Tensor x = torch::relu(layer(images, "conv1", "bn1", options.small ? 1 : 2));
  if (!options.small) x = torch::max_pool2d(x, 3, 2, 1);
  for (const Block& block : blocks_of(options)) {
    at::Tensor y = x;
    const auto layers = layers_of(block, is_bottleneck(options));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const BlockLayer& one = layers[i];
      y = layer(y, block.name + "conv" + one.number, block.name + "bn" + one.number, one.stride);
      if (i + 1 < layers.size()) y = torch::relu(y);
    }
    const at::Tensor shortcut =
        block.has_shortcut()
            ? layer(x, block.name + "downsample.0", block.name + "downsample.1", block.stride)
            : x;
    x = torch::relu(y + shortcut);
  }
  return x.mean({2, 3});
}

}  // namespace detente::nn
