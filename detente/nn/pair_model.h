// SPDX-License-Identifier: Apache-2.0
// A network for sentence pairs with one shared trunk and one head per task, from scratch.
//
// Token: Σ_k w_k e_k / √Σ w_k² over the ids of its position (one, or a syllable with its pairs);
// w the token weights (1, or idf). Encoder: + position → pre-norm transformer layers → pooling by
// the tokens' weights to u and v. Trunk: layer norm of [u, v, |u−v|, u⊙v], joined with alignment
// features (nn/alignment.h) and extra numbers given with the batch → one hidden layer with GELU.
// Everything up to the heads is shared. Both sentences go through the encoder in one batch.
// Mode cross: one sequence [CLS] a [SEP] b [SEP] with segment vectors, features = its pooled
// vector.
#pragma once

#include <detente/core/matrix.h>
#include <detente/core/rng.h>
#include <detente/nn/options.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::nn {

// A batch of pairs as token ids, position by position, without special tokens; the model cuts, pads
// and joins. An empty sentence counts as the zero vector. Views must outlive the call.
struct PairBatch {
  std::vector<std::span<const std::int32_t>> first;
  std::vector<std::span<const std::int32_t>> second;
  std::vector<float> extra;  // rows × extra_features, row-major; empty when the model takes none

  std::size_t rows() const { return first.size(); }
};

struct TaskHead {
  std::string name;
  HeadOptions options;
};

// What the tokenizer says about its ids.
struct Vocabulary {
  std::int64_t size = 0;
  std::int64_t ids_per_token = 1;
  std::int32_t pad = 0;
  std::int32_t cls = 2;  // used by mode cross only
  std::int32_t sep = 3;
};

class PairModel {
 public:
  // Parameters are drawn from `seed` alone: the same on every machine and engine.
  // `extra_features`: how many numbers come with each pair (lexical features).
  PairModel(const PairModelOptions& options,
            const Vocabulary& vocabulary,
            std::vector<TaskHead> heads,
            std::uint64_t seed,
            std::int64_t extra_features = 0);
  ~PairModel();
  PairModel(PairModel&&) noexcept;
  PairModel& operator=(PairModel&&) noexcept;

  // One prediction per head, with its graph: [B] (regression value, binary logit) or [B, classes]
  // (logits). Dropout and random order are on exactly when `dropout` is given; their bits come
  // from there alone. kShape for an empty batch or a wrong number of extra features, kData for an
  // id outside the vocabulary.
  TensorList forward(const PairBatch& batch, Rng* dropout = nullptr) const;
  // Without a graph, on the host: value or probability of class 1 [B×1]; probabilities [B×classes].
  std::vector<Matrix> predict(const PairBatch& batch) const;
  // The shared features after the trunk [B, F], with their graph.
  at::Tensor features(const PairBatch& batch, Rng* dropout = nullptr) const;

  const std::vector<TaskHead>& heads() const;
  const PairModelOptions& options() const;

  TensorList shared_parameters() const;
  TensorList head_parameters(std::size_t head) const;
  // "embedding.weight", "layers.0.attention.qkv.weight", "heads.<task>.weight", ...
  std::vector<std::string> shared_names() const;
  std::vector<std::string> head_names(std::size_t head) const;
  std::int64_t parameter_count() const;

  // Parameters and fixed tensors, for safetensors files.
  NamedTensors state() const;
  // Copies by name; throws kData for a missing or unknown name or another shape.
  void load_state(const NamedTensors& state);

  // Initial embedding table [vocabulary × width] (corpus statistics, pre-trained vectors).
  void set_embedding(MatrixView table);
  // Weight of each token in pooling idf [vocabulary]; >= 0, not all zero.
  void set_token_weights(std::span<const double> weights);
  // The extra numbers enter as (x − mean) / deviation; a deviation of 0 counts as 1.
  void set_extra_scale(std::span<const double> means, std::span<const double> deviations);
  // What an untrained head answers: a regression value, or the share of ones of a binary task.
  void set_initial_prediction(std::size_t head, double value);

  // Makes new parameters; lists taken before are no longer this model's.
  void to(tensor::Device device, tensor::DType dtype);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::nn
