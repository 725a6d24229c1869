// SPDX-License-Identifier: Apache-2.0
// A network: a shared trunk and one head per task.
#pragma once

#include <detente/core/matrix.h>
#include <detente/core/rng.h>
#include <detente/data/source.h>
#include <detente/nn/heads.h>
#include <detente/nn/trunk.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace detente::nn {

class Model {
 public:
  // Parameters for a source that is fitted, drawn from `seed` alone: the same on every machine and
  // engine. The trunk must not be built yet.
  Model(std::unique_ptr<Trunk> trunk,
        std::vector<TaskHead> heads,
        const data::Source& fitted,
        std::uint64_t seed);
  // A trunk that is built, and heads that fit its width.
  Model(std::unique_ptr<Trunk> trunk, Heads heads);

  // What initial parameters are drawn from: trunk first, then the heads.
  static Rng initial_rng(std::uint64_t seed);

  // With tensors of its own.
  Model clone() const;

  // What losses see, one per head with its graph (nn/heads.h). `random` as in Trunk::features;
  // `features` receives the heads' input [B, F] or [B, F, H, W], nothing where each task has its own.
  TensorList forward(const data::Batch& batch,
                     Rng* random = nullptr,
                     at::Tensor* features = nullptr) const;
  // Without a graph, on the host: value or probability of class 1 [B×1]; probabilities [B×classes];
  // maps, pixel after pixel: class ids or depths [B×HW], unit vectors [B×3HW], channel after channel.
  std::vector<Matrix> predict(const data::Batch& batch) const;
  // The same from the trunk's views of a batch.
  std::vector<Matrix> predict(const TensorList& views) const;

  // The tasks' answers (nn/heads.h) from the trunk's views of a batch, with their graph: those of the
  // views' mean prediction.
  TensorList answers(const TensorList& views) const;

  // The statistics of the training examples, into trunk and heads. `rng` is for this alone.
  void start_from(const data::Source& training, Rng& rng);

  const Trunk& trunk() const { return *trunk_; }
  Trunk& trunk() { return *trunk_; }
  const Heads& heads() const { return heads_; }
  Heads& heads() { return heads_; }

  // The trunk's that all tasks share; a head's own and those of the trunk for its task alone.
  TensorList shared_parameters() const;
  TensorList head_parameters(std::size_t head) const;
  const NamedTensors& named_shared_parameters() const;
  // "heads.<task>.weight", ".bias".
  NamedTensors named_head_parameters(std::size_t head) const;
  std::int64_t parameter_count() const;

  // Parameters (they require gradients) and fixed tensors, themselves: for safetensors files.
  NamedTensors state() const;
  // Copies by name; throws kData for a missing or unknown name or another shape.
  void load_state(const NamedTensors& state);

  // Makes new parameters; lists taken before are no longer this model's.
  void to(tensor::Device device, tensor::DType dtype);

 private:
  std::vector<Matrix> numbers_of(const TensorList& answers) const;

  std::unique_ptr<Trunk> trunk_;
  Heads heads_;
};

}  // namespace detente::nn
