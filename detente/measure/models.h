// SPDX-License-Identifier: Apache-2.0
// Networks to time a training step on, with random data: the shapes that published comparisons of
// multi-task methods use.
#pragma once

#include <detente/tensor/device.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace detente::measure {

struct BenchmarkModel {
  TensorList shared;
  std::vector<TensorList> own;  // per task
  // Losses of all tasks on the first `rows` examples of each task's batch (0: all), with graphs.
  std::function<TensorList(std::int64_t rows)> losses;
  std::string description;  // "trunk 39-400-400-400, 10 heads, 128 rows each"
};

// The names make_model takes: "mlp", "cnn", "transformer", "siamese", "segnet_mtan".
std::vector<std::string> model_names();

// mlp: 39-400-400-400 with ReLU, heads to 4 numbers (Meta-World's sizes).
// cnn: ResNet-18. single: 3×64×64, batch normalisation; multi: 3×32×32, group normalisation, as
//   joint batch statistics would mix the tasks' examples.
// transformer: 4 layers, width 256, 4 heads, feed-forward 1024, 64 positions, no dropout.
// siamese: sentence pairs through one transformer layer of width 64 on a table of 32,000 tokens.
// segnet_mtan: see map_model.h, with images `scale` times as large; single input only.
// `multi`: every task has `batch` examples of its own in one joint forward pass; otherwise all
// tasks share one batch. Parameters and data are drawn from `seed` on the CPU, the same whatever the
// device. Throws kInvalidArgument.
BenchmarkModel make_model(const std::string& name,
                          bool multi,
                          std::int64_t tasks,
                          std::int64_t batch,
                          std::uint64_t seed,
                          tensor::Device device = {},
                          double scale = 1);

}  // namespace detente::measure
