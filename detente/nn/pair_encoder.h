// SPDX-License-Identifier: Apache-2.0
// Sentences as token ids to vectors: embeddings, positions, pre-norm transformer layers, pooling.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/nn/options.h>
#include <detente/nn/parameters.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace detente::nn {

// What the tokenizer says about its ids.
struct Vocabulary {
  std::int64_t size = 0;
  std::int64_t ids_per_token = 1;
  std::int32_t pad = 0;
  std::int32_t cls = 2;  // used by mode cross only
  std::int32_t sep = 3;
};

// The encoded sentences of a batch.
struct EncodedSide {
  at::Tensor pooled;   // [B, d]
  at::Tensor tokens;   // [B, n, d] before position and layers
  at::Tensor outputs;  // [B, n, d] after the encoder
  at::Tensor mask;     // [B, n] bool
  at::Tensor weight;   // [B, n]

  EncodedSide rows(std::int64_t begin, std::int64_t end) const;
};

// What it is made from must outlive it.
class PairEncoder {
 public:
  PairEncoder(const PairModelOptions& options,
              const Vocabulary& vocabulary,
              const Parameters& parameters)
      : options_(options), vocabulary_(vocabulary), parameters_(parameters) {}

  // "embedding.weight", "token_weights", "position.weight", "segment.weight", "layers.<i>. ...",
  // "norm".
  static void add_parameters(const PairModelOptions& options,
                             const Vocabulary& vocabulary,
                             Draw& draw,
                             Parameters& parameters);

  // The sentence's first tokens, as many as the options allow.
  std::vector<std::int32_t> cut(std::span<const std::int32_t> ids) const;
  // ids [rows, n, unit] on the parameters' device, padded. kData for an id outside the vocabulary.
  at::Tensor pad(const std::vector<std::vector<std::int32_t>>& rows) const;
  // kThis: of the ids at hand. kAny: as many operations more, and when they are recorded
  // (Trunk::portable_views) they hold for ids of any n.
  enum class Lengths { kThis, kAny };
  // ids [rows, n, unit]; segments [rows, n] or undefined.
  EncodedSide encode(const at::Tensor& ids,
                     const at::Tensor& segments,
                     Dropout& drop,
                     Lengths lengths = Lengths::kThis) const;

 private:
  at::Tensor attention(const at::Tensor& x,
                       const at::Tensor& blocked,
                       const std::string& name) const;

  const PairModelOptions& options_;
  const Vocabulary& vocabulary_;
  const Parameters& parameters_;
};

}  // namespace detente::nn
