// SPDX-License-Identifier: Apache-2.0
// The options of the pair model and its heads; no LibTorch here, so anything can describe them.
#pragma once

#include <detente/core/fields.h>
#include <detente/tensor/head.h>

#include <cstdint>
#include <string>
#include <vector>

namespace detente::nn {

// For lists of sizes that a recipe gives as numbers: at least one (`what`: "hidden layer"), and whole.
// Throws kInvalidArgument, its message opened by `who`.
void check_sizes(const char* who,
                 const char* key,
                 const std::vector<double>& sizes,
                 const char* what);

struct PairModelOptions {
  // siamese: each sentence is encoded alone and the two vectors are compared.
  // cross: both sentences form one sequence [CLS] a [SEP] b [SEP].
  enum class Mode { kSiamese, kCross };
  enum class Pooling { kMean, kIdf };
  enum class Positions { kNone, kLearned };
  // Siamese only: how well each token finds a partner in the other sentence (nn/alignment.h), from
  // the token embeddings or also from the encoder's output.
  enum class Alignment { kNone, kTokens, kBoth };

  Mode mode = Mode::kSiamese;
  std::int64_t width = 64;
  std::int64_t layers = 1;  // 0: a bag of embeddings
  std::int64_t heads = 4;   // must divide width
  std::int64_t ffn = 128;
  std::int64_t max_length = 64;  // tokens per sentence; the rest is cut off
  Positions positions = Positions::kLearned;
  Pooling pooling = Pooling::kMean;
  bool learn_token_weights = false;  // with pooling idf: weights start at the given ones and learn
  Alignment alignment = Alignment::kNone;
  bool symmetric = true;      // siamese: train on random order, predict the mean of both orders
  std::int64_t hidden = 128;  // width of the layer over the pair features; 0: none
  double dropout = 0.1;
  double embedding_dropout = 0.1;
  double token_dropout = 0.0;

  void describe(FieldVisitor& visitor);
  // Rules between fields (width divisible by heads); throws kInvalidArgument.
  void validate() const;
};

// One task's head over the shared features.
struct HeadOptions {
  enum class Output { kRaw, kScaled, kSigmoid, kStandard };

  HeadKind kind = HeadKind::kRegression;
  std::int64_t classes = 2;  // kClasses, kOrdinal
  std::int64_t outputs =
      1;  // kRegression: numbers per row; kLabels: labels. From the task's columns
  // kRegression only. raw: the number itself; scaled: low + (high − low) · number, so that the
  // network works on a scale of one; sigmoid: the same, squeezed into (low, high); standard: in
  // deviations from the mean of the training targets (nn/heads.h).
  Output output = Output::kRaw;
  double low = 0.0;
  double high = 1.0;

  void describe(FieldVisitor& visitor);
  void validate() const;
};

}  // namespace detente::nn
