// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/segnet.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace detente::nn {
namespace {

constexpr std::size_t kShortStages = 2;  // with one block after the first instead of two

std::string segnet_name(const char* half, std::size_t stage, std::size_t block) {
  return std::string(half) + "." + std::to_string(stage) + "." + std::to_string(block);
}

std::size_t blocks_of(std::size_t stage) { return stage < kShortStages ? 2 : 3; }

}  // namespace

std::array<std::int64_t, kSegNetStages> SegNetOptions::widths() const {
  return {width, 2 * width, 4 * width, 8 * width, 8 * width};
}

void add_biased_convolution(Parameters& parameters,
                            Draw& draw,
                            const std::string& name,
                            std::int64_t in,
                            std::int64_t out,
                            std::int64_t kernel) {
  const auto fans = static_cast<double>((in + out) * kernel * kernel);
  parameters.add(name + ".weight", draw.normal({out, in, kernel, kernel}, std::sqrt(2.0 / fans)));
  parameters.add(name + ".bias", torch::zeros({out}));
}

at::Tensor biased_convolution(const Parameters& parameters,
                              const at::Tensor& x,
                              const std::string& name) {
  const at::Tensor& weight = parameters(name + ".weight");
  return torch::conv2d(x, weight, parameters(name + ".bias"), 1, weight.size(-1) / 2);
}

at::Tensor segnet_norm(const Parameters& parameters,
                       const at::Tensor& x,
                       const std::string& name,
                       ImageNorm norm,
                       BatchStatistics statistics) {
  const std::int64_t groups = std::clamp<std::int64_t>(x.size(1) / 4, 1, 8);
  return image_norm(parameters, x, name, norm, groups, statistics);
}

void add_segnet_block(Parameters& parameters,
                      Draw& draw,
                      const std::string& name,
                      std::int64_t in,
                      std::int64_t out,
                      ImageNorm norm) {
  add_biased_convolution(parameters, draw, name + ".conv", in, out, 3);
  add_image_norm(parameters, name + ".norm", out, norm);
}

at::Tensor segnet_block(const Parameters& parameters,
                        const at::Tensor& x,
                        const std::string& name,
                        ImageNorm norm,
                        BatchStatistics statistics) {
  const at::Tensor y = biased_convolution(parameters, x, name + ".conv");
  return torch::relu(segnet_norm(parameters, y, name + ".norm", norm, statistics));
}

void add_segnet(Parameters& parameters, Draw& draw, const SegNetOptions& options) {
  const auto widths = options.widths();
  for (std::size_t stage = 0; stage < kSegNetStages; ++stage) {
    for (std::size_t block = 0; block < blocks_of(stage); ++block) {
      const std::int64_t before = stage == 0 ? options.channels : widths[stage - 1];
      add_segnet_block(parameters,
                       draw,
                       segnet_name("encoder", stage, block),
                       block == 0 ? before : widths[stage],
                       widths[stage],
                       options.norm);
    }
  }
  for (std::size_t stage = kSegNetStages; stage-- > 0;) {
    const std::int64_t out = widths[stage == 0 ? 0 : stage - 1];
    for (std::size_t block = 0; block < blocks_of(stage); ++block) {
      add_segnet_block(parameters,
                       draw,
                       segnet_name("decoder", stage, block),
                       block == 0 ? widths[stage] : out,
                       out,
                       options.norm);
    }
  }
}

SegNetMaps segnet(const Parameters& parameters,
                  const at::Tensor& images,
                  const SegNetOptions& options,
                  BatchStatistics statistics) {
  SegNetMaps maps;
  for (TensorList* list :
       {&maps.encoder_first, &maps.encoder_last, &maps.unpooled, &maps.decoder_last}) {
    list->resize(kSegNetStages);
  }
  TensorList places(kSegNetStages);
  const auto block = [&](const at::Tensor& x, const std::string& name) {
    return segnet_block(parameters, x, name, options.norm, statistics);
  };
  at::Tensor x = images;
  for (std::size_t stage = 0; stage < kSegNetStages; ++stage) {
    for (std::size_t i = 0; i < blocks_of(stage); ++i) {
      x = block(x, segnet_name("encoder", stage, i));
      if (i == 0) maps.encoder_first[stage] = x;
    }
    maps.encoder_last[stage] = x;
    std::tie(x, places[stage]) = torch::max_pool2d_with_indices(x, 2, 2);
  }
  for (std::size_t stage = kSegNetStages; stage-- > 0;) {
    const at::Tensor& pooled = maps.encoder_last[stage];
    x = torch::max_unpool2d(x, places[stage], {pooled.size(2), pooled.size(3)});
    maps.unpooled[stage] = x;
    for (std::size_t i = 0; i < blocks_of(stage); ++i) {
      x = block(x, segnet_name("decoder", stage, i));
    }
    maps.decoder_last[stage] = x;
  }
  return maps;
}

}  // namespace detente::nn
