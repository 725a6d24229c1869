// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/losses/registry.h>
#include <detente/measure/map_model.h>
#include <detente/nn/heads.h>
#include <detente/nn/mtan_trunk.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

namespace detente::measure {
namespace {

constexpr double kHeight = 288;
constexpr double kWidth = 384;
constexpr std::int64_t kClasses = 13;
constexpr double kHalved = 32;

struct MapNetwork {
  nn::MtanTrunk trunk;
  nn::Heads heads;
  std::vector<std::unique_ptr<losses::Loss>> losses;
  data::Batch images;
  TensorList targets;
  Rng random;  // says that this is training
};

std::size_t scaled_side(double side, double scale) {
  return static_cast<std::size_t>(kHalved * std::max(1.0, std::round(side * scale / kHalved)));
}

// NaN in one pixel of eight.
at::Tensor map_target(TaskKind kind, std::int64_t batch, std::int64_t height, std::int64_t width) {
  const at::Tensor nothing = at::rand({batch, height, width}) < 0.125;
  const double none = std::numeric_limits<double>::quiet_NaN();
  if (kind == TaskKind::kSegmentation) {
    return at::randint(kClasses, {batch, height, width}, at::kFloat).masked_fill(nothing, none);
  }
  if (kind == TaskKind::kDepth) {
    return (at::rand({batch, height, width}) * 9 + 1).masked_fill(nothing, none);
  }
  const at::Tensor vectors = at::randn({batch, 3, height, width});
  return (vectors / vectors.norm(2, {1}, true)).masked_fill(nothing.unsqueeze(1), none);
}

// The first `count` images of a batch.
data::Batch first_images(const data::Batch& all, std::size_t count) {
  data::Batch some = all;
  auto& values = std::get<std::vector<float>>(some[0].values);
  values.resize(values.size() / some[0].shape[0] * count);
  some[0].shape[0] = count;
  return some;
}

}  // namespace

BenchmarkModel make_map_model(std::int64_t tasks,
                              std::int64_t batch,
                              double scale,
                              std::uint64_t seed,
                              tensor::Device device) {
  constexpr std::pair<TaskKind, const char*> kKinds[] = {{TaskKind::kSegmentation, "cross_entropy"},
                                                         {TaskKind::kDepth, "mae"},
                                                         {TaskKind::kNormals, "cosine"}};
  torch::manual_seed(static_cast<std::int64_t>(seed));
  const data::DenseShape shape{3, scaled_side(kHeight, scale), scaled_side(kWidth, scale)};
  const auto height = static_cast<std::int64_t>(shape.height);
  const auto width = static_cast<std::int64_t>(shape.width);
  const auto network = std::make_shared<MapNetwork>();
  std::vector<nn::TaskHead> heads;
  std::vector<std::string> names;
  for (std::int64_t k = 0; k < tasks; ++k) {
    const auto& [kind, loss] = kKinds[k % 3];
    names.push_back(fmt::format("task{}", k));
    heads.push_back({names.back(), {}});
    heads.back().options.kind = kind;
    heads.back().options.classes = kClasses;
    network->losses.push_back(losses::make_loss(loss));
    network->targets.push_back(map_target(kind, batch, height, width));
  }
  Rng rng(seed);
  nn::Draw draw(rng);
  network->trunk.set_tasks(names);
  network->trunk.DenseTrunk::build(shape, draw);
  network->heads = nn::Heads(std::move(heads), network->trunk.width(), draw);
  const at::Tensor images = at::randn({batch * 3 * height * width});
  const float* begin = images.const_data_ptr<float>();
  network->images = {{"image",
                      {static_cast<std::size_t>(batch), 3, shape.height, shape.width},
                      std::vector<float>(begin, begin + images.numel())}};
  network->trunk.to(device, tensor::DType::kFloat32);
  network->heads.to(device, tensor::DType::kFloat32);
  BenchmarkModel model;
  model.shared = network->trunk.parameters().trained_tensors();
  for (std::size_t k = 0; k < names.size(); ++k) {
    TensorList own = network->trunk.own().at(k).trained_tensors();
    for (const at::Tensor& tensor : network->heads.parameters(k).trained_tensors()) {
      own.push_back(tensor);
    }
    model.own.push_back(std::move(own));
  }
  model.description = fmt::format(
      "SegNet with attention, {} tasks, {} images of {} x {}", tasks, batch, height, width);
  model.losses = [network, batch](std::int64_t rows) {
    const std::int64_t n = rows > 0 ? std::min(rows, batch) : batch;
    const data::Batch images = first_images(network->images, static_cast<std::size_t>(n));
    const TensorList predictions =
        network->heads(network->trunk.task_features(images, &network->random));
    TensorList losses;
    for (std::size_t k = 0; k < predictions.size(); ++k) {
      losses.push_back((*network->losses[k])(predictions[k], network->targets[k].narrow(0, 0, n)));
    }
    return losses;
  };
  return model;
}

}  // namespace detente::measure
