// SPDX-License-Identifier: Apache-2.0
// Layers that networks for images share: convolutions without bias, and the normalisation after
// them.
//
//   group  each example by itself, over groups of channels (Wu and He 2018). The default: an
//          example's loss then depends on that example alone, so the gradient of a task is what it
//          would be without the other tasks' rows, a part of the batch (engine.gram_rows,
//          train.micro_batches) has the same losses as within the whole, and training and use are
//          one function.
//   batch  over the examples of a batch (Ioffe and Szegedy 2015), as published networks have it.
//          Their mean and variance move running ones (by 0.1 a step), which predictions use. Of several
//          processes each normalises by its own rows; the running ones are averaged (train/training_step.h).
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <optional>
#include <string>

namespace detente::nn {

enum class ImageNorm { kGroup, kBatch };

// The option `norm` of a published network.
void describe_image_norm(FieldVisitor& model, ImageNorm& norm);

// What a forward pass does with batch normalisation.
enum class BatchStatistics {
  kRunning,  // uses the running ones: predictions
  kBatch,    // uses the batch's
  kMove,     // the same, and moves the running ones: training
};

// One training step may ask for the same forward pass several times (curvature, estimates): running
// statistics move at the first of them alone.
class BatchStatisticsRule {
 public:
  // Takes one number from `random`; kRunning when there is none.
  BatchStatistics next(Rng* random);

 private:
  std::optional<std::uint64_t> last_;
};

// name.weight [out, in, kernel, kernel], normal with variance 2 / (out kernel²) (He et al. 2015).
void add_convolution(Parameters& parameters,
                     Draw& draw,
                     const std::string& name,
                     std::int64_t in,
                     std::int64_t out,
                     std::int64_t kernel);
// Padded so that stride 1 keeps the size of odd kernels.
at::Tensor convolution(const Parameters& parameters,
                       const at::Tensor& x,
                       const std::string& name,
                       std::int64_t stride = 1);

// name.weight and name.bias; batch: also the fixed name.running_mean and name.running_var.
void add_image_norm(Parameters& parameters,
                    const std::string& name,
                    std::int64_t channels,
                    ImageNorm norm);
// `groups`: at most so many, a divisor of the channels. kShape where a batch has one number per
// channel alone, which has no variance.
at::Tensor image_norm(const Parameters& parameters,
                      const at::Tensor& x,
                      const std::string& name,
                      ImageNorm norm,
                      std::int64_t groups,
                      BatchStatistics statistics);
// Those of a network's tensors that batch normalisation moves, themselves.
TensorList running_statistics(const NamedTensors& state);
// The largest divisor of `channels` that is at most `most`.
std::int64_t group_count(std::int64_t channels, std::int64_t most);

}  // namespace detente::nn
