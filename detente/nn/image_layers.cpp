// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/trunk.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace detente::nn {
namespace {

constexpr double kNormEpsilon = 1e-5;
constexpr double kNormMomentum = 0.1;

}  // namespace

void describe_image_norm(FieldVisitor& model, ImageNorm& norm) {
  model.choice("norm",
               norm,
               {{"group", ImageNorm::kGroup}, {"batch", ImageNorm::kBatch}},
               "group: each example by itself, so that tasks and parts of a batch do not depend on "
               "each other; batch: over the batch as published, with running statistics for "
               "predictions.");
}

BatchStatistics BatchStatisticsRule::next(Rng* random) {
  if (random == nullptr) return BatchStatistics::kRunning;
  const std::uint64_t draw = (*random)();
  const bool again = last_ == draw;
  last_ = draw;
  return again ? BatchStatistics::kBatch : BatchStatistics::kMove;
}

void add_convolution(Parameters& parameters,
                     Draw& draw,
                     const std::string& name,
                     std::int64_t in,
                     std::int64_t out,
                     std::int64_t kernel) {
  const auto fan_out = static_cast<double>(out * kernel * kernel);
  parameters.add(name + ".weight",
                 draw.normal({out, in, kernel, kernel}, std::sqrt(2.0 / fan_out)));
}

at::Tensor convolution(const Parameters& parameters,
                       const at::Tensor& x,
                       const std::string& name,
                       std::int64_t stride) {
  const at::Tensor& weight = parameters(name + ".weight");
  return torch::conv2d(x, weight, {}, stride, weight.size(-1) / 2);
}

void add_image_norm(Parameters& parameters,
                    const std::string& name,
                    std::int64_t channels,
                    ImageNorm norm) {
  parameters.add_norm(name, channels);
  if (norm == ImageNorm::kGroup) return;
  parameters.add_fixed(name + ".running_mean", torch::zeros({channels}));
  parameters.add_fixed(name + ".running_var", torch::ones({channels}));
}

at::Tensor image_norm(const Parameters& parameters,
                      const at::Tensor& x,
                      const std::string& name,
                      ImageNorm norm,
                      std::int64_t groups,
                      BatchStatistics statistics) {
  const at::Tensor& weight = parameters(name + ".weight");
  const at::Tensor& bias = parameters(name + ".bias");
  if (norm == ImageNorm::kGroup) {
    return torch::group_norm(x, group_count(x.size(1), groups), weight, bias, kNormEpsilon);
  }
  const bool training = statistics != BatchStatistics::kRunning;
  DETENTE_CHECK(!training || x.numel() > x.size(1),
                ErrorCode::kShape,
                "[nn::image_norm] batch normalisation needs more than one number per channel to "
                "find their variance; got one example of 1 x 1 at '{}'. Use train.min_batch of at "
                "least 2, or norm: group.",
                name);
  // Under mixed precision these stay as they are saved.
  return torch::batch_norm(x,
                           weight,
                           bias,
                           parameters(name + ".running_mean"),
                           parameters(name + ".running_var"),
                           training,
                           statistics == BatchStatistics::kMove ? kNormMomentum : 0.0,
                           kNormEpsilon,
                           /*cudnn_enabled=*/true);
}

TensorList running_statistics(const NamedTensors& state) {
  TensorList found;
  for (const auto& [name, tensor] : state) {
    if (name.ends_with(".running_mean") || name.ends_with(".running_var")) found.push_back(tensor);
  }
  return found;
}

std::int64_t group_count(std::int64_t channels, std::int64_t most) {
  std::int64_t groups = std::min(channels, most);
  while (channels % groups != 0) --groups;
  return groups;
}

}  // namespace detente::nn
