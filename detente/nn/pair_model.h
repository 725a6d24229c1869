// SPDX-License-Identifier: Apache-2.0
// A pair trunk and its heads, without a source: batches are views of token ids.
#pragma once

#include <detente/core/matrix.h>
#include <detente/core/rng.h>
#include <detente/nn/heads.h>
#include <detente/nn/model.h>
#include <detente/nn/pair_trunk.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::nn {

class PairModel {
 public:
  // Parameters are drawn from `seed` alone: the same on every machine and engine.
  // `extra_features`: how many numbers come with each pair (lexical features).
  PairModel(const PairModelOptions& options,
            const Vocabulary& vocabulary,
            std::vector<TaskHead> heads,
            std::uint64_t seed,
            std::int64_t extra_features = 0);

  // As in nn::Model.
  TensorList forward(const PairBatch& batch, Rng* dropout = nullptr) const;
  std::vector<Matrix> predict(const PairBatch& batch) const;
  at::Tensor features(const PairBatch& batch, Rng* dropout = nullptr) const;

  const std::vector<TaskHead>& heads() const { return model_.heads().tasks(); }

  TensorList shared_parameters() const { return model_.shared_parameters(); }
  TensorList head_parameters(std::size_t head) const { return model_.head_parameters(head); }
  std::vector<std::string> shared_names() const { return model_.shared_names(); }
  std::vector<std::string> head_names(std::size_t head) const { return model_.head_names(head); }
  std::int64_t parameter_count() const { return model_.parameter_count(); }
  NamedTensors state() const { return model_.state(); }
  void load_state(const NamedTensors& state) { model_.load_state(state); }

  // As in PairTrunk and Heads.
  void set_embedding(MatrixView table) { trunk().set_embedding(table); }
  void set_token_weights(std::span<const double> weights) { trunk().set_token_weights(weights); }
  void set_extra_scale(std::span<const double> means, std::span<const double> deviations) {
    trunk().set_number_scale(means, deviations);
  }
  void set_initial_prediction(std::size_t head, double value) {
    model_.heads().set_initial_prediction(head, value);
  }
  void to(tensor::Device device, tensor::DType dtype) { model_.to(device, dtype); }

 private:
  PairTrunk& trunk() { return static_cast<PairTrunk&>(model_.trunk()); }
  const PairTrunk& trunk() const { return static_cast<const PairTrunk&>(model_.trunk()); }

  Model model_;
};

}  // namespace detente::nn
