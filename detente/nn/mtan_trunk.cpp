// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/mtan_trunk.h>
#include <torch/types.h>

#include <algorithm>

namespace detente::nn {
namespace {

std::string mtan_name(const char* what, std::size_t stage) {
  return std::string(what) + "." + std::to_string(stage);
}

void add_attention(Parameters& parameters,
                   Draw& draw,
                   const std::string& name,
                   std::int64_t in,
                   std::int64_t out,
                   ImageNorm norm) {
  add_biased_convolution(parameters, draw, name + ".conv1", in, out, 1);
  add_image_norm(parameters, name + ".norm1", out, norm);
  add_biased_convolution(parameters, draw, name + ".conv2", out, out, 1);
  add_image_norm(parameters, name + ".norm2", out, norm);
}

at::Tensor task_attention(const Parameters& parameters,
                          const at::Tensor& x,
                          const std::string& name,
                          ImageNorm norm,
                          BatchStatistics statistics) {
  at::Tensor y = biased_convolution(parameters, x, name + ".conv1");
  y = torch::relu(segnet_norm(parameters, y, name + ".norm1", norm, statistics));
  y = biased_convolution(parameters, y, name + ".conv2");
  return torch::sigmoid(segnet_norm(parameters, y, name + ".norm2", norm, statistics));
}

}  // namespace

void MtanTrunk::add_layers(Draw& draw) {
  DETENTE_CHECK(!tasks_.empty(), ErrorCode::kInternal, "[nn::MtanTrunk] built without tasks.");
  SegNetTrunk::add_layers(draw);
  const SegNetOptions options = segnet_options();
  const auto f = options.widths();
  for (std::size_t j = 0; j < kSegNetStages; ++j) {
    const std::int64_t next = f[std::min(j + 1, kSegNetStages - 1)];
    add_segnet_block(parameters_, draw, mtan_name("attended.encoder", j), f[j], next, options.norm);
    const std::int64_t before = j + 1 == kSegNetStages ? f[j] : f[j == 0 ? 0 : j - 1];
    add_segnet_block(
        parameters_, draw, mtan_name("attended.decoder", j), f[j], before, options.norm);
  }
  for (const std::string& task : tasks_) {
    Parameters& own = own_.emplace_back();
    const std::string name = "attention." + task;
    for (std::size_t j = 0; j < kSegNetStages; ++j) {
      add_attention(own,
                    draw,
                    mtan_name((name + ".encoder").c_str(), j),
                    j == 0 ? f[j] : 2 * f[j],
                    f[j],
                    options.norm);
      const std::int64_t out = f[j == 0 ? 0 : j - 1];
      const std::int64_t block = j + 1 == kSegNetStages ? f[j] : out;
      add_attention(
          own, draw, mtan_name((name + ".decoder").c_str(), j), f[j] + block, out, options.norm);
    }
  }
}

at::Tensor MtanTrunk::task_map(std::size_t task,
                               const SegNetMaps& maps,
                               BatchStatistics statistics) const {
  const ImageNorm norm = segnet_options().norm;
  const std::string name = "attention." + tasks_[task];
  const auto attend = [&](const at::Tensor& x, const char* half, std::size_t j) {
    return task_attention(own_[task], x, mtan_name((name + half).c_str(), j), norm, statistics);
  };
  const auto block = [&](const at::Tensor& x, const char* half, std::size_t j) {
    return segnet_block(parameters_, x, mtan_name(half, j), norm, statistics);
  };
  at::Tensor x;
  for (std::size_t j = 0; j < kSegNetStages; ++j) {
    const at::Tensor& first = maps.encoder_first[j];
    const at::Tensor seen = j == 0 ? first : torch::cat({first, x}, 1);
    x = attend(seen, ".encoder", j) * maps.encoder_last[j];
    x = torch::max_pool2d(block(x, "attended.encoder", j), 2, 2);
  }
  for (std::size_t j = kSegNetStages; j-- > 0;) {
    const at::Tensor& shared = maps.decoder_last[j];
    x = torch::upsample_bilinear2d(x, {shared.size(2), shared.size(3)}, /*align_corners=*/true);
    x = block(x, "attended.decoder", j);
    x = attend(torch::cat({maps.unpooled[j], x}, 1), ".decoder", j) * shared;
  }
  return x;
}

TensorList MtanTrunk::forward(const at::Tensor& images, BatchStatistics statistics) const {
  const SegNetMaps maps = segnet(parameters_, images, segnet_options(), statistics);
  TensorList features;
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    features.push_back(task_map(task, maps, statistics));
  }
  return features;
}

}  // namespace detente::nn
