// SPDX-License-Identifier: Apache-2.0
// The trunk for sentence pairs (data/pair_source.h), from scratch.
//
// Token: Σ_k w_k e_k / √Σ w_k² over the ids of its position (one, or a syllable with its pairs);
// w the token weights (1, or idf). Encoder: + position → pre-norm transformer layers → pooling by
// the tokens' weights to u and v. Features: layer norm of [u, v, |u−v|, u⊙v], joined with alignment
// features (nn/alignment.h) and the numbers that come with each pair → one hidden layer with GELU.
// Both sentences go through the encoder in one batch.
// Mode cross: one sequence [CLS] a [SEP] b [SEP] with segment vectors, features = its pooled
// vector.
#pragma once

#include <detente/core/matrix.h>
#include <detente/nn/options.h>
#include <detente/nn/pair_encoder.h>
#include <detente/nn/text_encoder.h>
#include <detente/nn/trunk.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace detente::nn {

// A batch of pairs as token ids, position by position, without special tokens; the trunk cuts, pads
// and joins. An empty sentence counts as the zero vector. Views must outlive the call.
struct PairBatch {
  std::vector<std::span<const std::int32_t>> first;
  std::vector<std::span<const std::int32_t>> second;
  std::vector<float> extra;  // rows × numbers, row-major; empty when the trunk takes none

  std::size_t rows() const { return first.size(); }
};

class PairTrunk final : public Trunk, public TextEncoder {
 public:
  explicit PairTrunk(const PairModelOptions& options = {}) : options_(options) {}

  const char* kind() const override { return "pairs"; }
  void describe(FieldVisitor& model) override;
  void validate() const override { options_.validate(); }
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<PairTrunk>(*this); }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  // Scale of the numbers beside the pairs; embeddings from co-occurrence if the options say so.
  void start_from(const data::Source& training, Rng& rng) override;
  std::string long_start() const override;
  std::int64_t width() const override;
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  // Symmetric siamese trunks look at the pair in both orders.
  TensorList views(const data::Batch& batch) const override;
  // The pooled u of siamese trunks.
  at::Tensor text_vectors(const data::Batch& batch) const override;

  // Of siamese trunks "first" and "second" [B, n, ids per token] int64: token ids, at most max_length
  // tokens, padded at the end with the tokenizer's padding id; n may differ. Of cross ones "joined"
  // [B, n, ids per token], both sentences between [CLS] and [SEP], and "segments" [B, n] int64. With lexical
  // features also "numbers" [B, k] float32.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source. `numbers`: how many come with each pair.
  void build(const Vocabulary& vocabulary, std::int64_t numbers, Draw& draw);
  // kShape for an empty batch or a wrong count of numbers, kData for an id outside the vocabulary.
  at::Tensor features(const PairBatch& batch, Rng* random = nullptr) const;
  TensorList views(const PairBatch& batch) const;

  const PairModelOptions& options() const { return options_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Initial embedding table [vocabulary × width] (corpus statistics, pre-trained vectors).
  void set_embedding(MatrixView table);
  // Weight of each token in pooling idf [vocabulary]; >= 0, not all zero.
  void set_token_weights(std::span<const double> weights);
  // The numbers enter as (x − mean) / deviation; a deviation of 0 counts as 1.
  void set_number_scale(std::span<const double> means, std::span<const double> deviations);

 private:
  enum class EmbeddingInit { kRandom, kPpmi };

  PairEncoder encoder() const { return {options_, vocabulary_, parameters_}; }
  // Before they are joined.
  TensorList siamese_features(const PairBatch& batch,
                              const std::vector<bool>& swapped,
                              Dropout& drop) const;
  // Of two encoded sides of the same pairs.
  TensorList compared(const EncodedSide& a, const EncodedSide& b) const;
  // `extra`: the numbers [B, k] as they come with the pairs; undefined without any.
  at::Tensor closed(TensorList joined, const at::Tensor& extra, Dropout& drop) const;
  TensorList cross_features(const PairBatch& batch, Dropout& drop) const;
  at::Tensor features(const PairBatch& batch,
                      const std::vector<bool>& swapped,
                      Dropout& drop) const;
  void add_joined_inputs(PortableInputs& inputs) const;
  void add_number_input(PortableInputs& inputs) const;
  std::int64_t encoded_width() const;
  std::int64_t alignment_width() const;
  std::int64_t joined_width() const;

  PairModelOptions options_;
  bool lexical_ = false;
  EmbeddingInit embedding_init_ = EmbeddingInit::kRandom;
  std::int64_t ppmi_window_ = 4;
  Vocabulary vocabulary_;
  std::int64_t numbers_ = 0;
};

}  // namespace detente::nn
