// SPDX-License-Identifier: Apache-2.0
// The trunk for texts and sentence pairs with the encoder of BERT (nn/transformer_encoder.h), from
// scratch or from a published model.
//
//   text            [CLS] a [SEP] → pooled vector
//   pairs, siamese  both sentences alike, one encoder → [u, v, |u−v|, u⊙v, 3 cos(u, v)]
//   pairs, cross    [CLS] a [SEP] b [SEP] with segments 0 and 1 → pooled vector
//
// Pooled: the mean over all real tokens, or the vector of [CLS]. u and v are normalised to the root of
// the width, so that their entries are of size one. Then a hidden layer with GELU, when there is one.
#pragma once

#include <detente/nn/text_encoder.h>
#include <detente/nn/transformer_encoder.h>
#include <detente/nn/trunk.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace detente::nn {

class TransformerTrunk final : public Trunk, public TextEncoder {
 public:
  enum class Mode { kSiamese, kCross };
  enum class Pooling { kMean, kCls };

  const char* kind() const override { return "transformer"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  void resolve_paths(const std::filesystem::path& folder) override;
  std::unique_ptr<Trunk> clone() const override {
    return std::make_unique<TransformerTrunk>(*this);
  }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  // The published model's parameters, if one is named. Throws kIo, kData.
  void start_from(const data::Source& training, Rng& rng) override;
  std::string long_start() const override;
  std::int64_t width() const override;
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  std::vector<double> learning_rates() const override;
  // Pooled; not of cross encoders of pairs.
  at::Tensor text_vectors(const data::Batch& batch) const override;

  // "first" (and for siamese pairs "second") [B, n] int64: token ids with [CLS] and [SEP], padded at the
  // end; for cross encoders also "segments" [B, n] int64.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source: [B, width of the encoder] of token ids as in portable_inputs.
  at::Tensor pooled(const at::Tensor& ids, const at::Tensor& segments, Dropout& drop) const;

 private:
  TransformerEncoder encoder() const { return {shape_, parameters_}; }
  bool siamese() const { return pairs_ && mode_ == Mode::kSiamese; }
  std::int64_t joined_width() const;
  // ids [B, n] and, for cross encoders, segments.
  std::pair<at::Tensor, at::Tensor> sequences(const data::Batch& batch,
                                              const std::vector<const char*>& sides) const;
  at::Tensor compared(at::Tensor u, at::Tensor v) const;
  at::Tensor closed(const at::Tensor& joined, Dropout& drop) const;

  std::string pretrained_;
  Mode mode_ = Mode::kSiamese;
  Pooling pooling_ = Pooling::kMean;
  TransformerShape shape_;
  std::int64_t max_length_ = 128;
  std::int64_t hidden_ = 0;
  double dropout_ = 0.1;
  std::int64_t frozen_ = 0;
  double rate_ = 1.0;
  double layer_decay_ = 1.0;

  bool pairs_ = false;
  std::int64_t pad_ = 0;
  std::int64_t cls_ = 0;
  std::int64_t sep_ = 0;
};

}  // namespace detente::nn
