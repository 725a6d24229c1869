// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/options.h>

#include <cmath>

namespace detente::nn {

void check_sizes(const char* who,
                 const char* key,
                 const std::vector<double>& sizes,
                 const char* what) {
  DETENTE_CHECK(!sizes.empty(),
                ErrorCode::kInvalidArgument,
                "[{}] '{}' is empty; expected at least one {}.",
                who,
                key,
                what);
  for (const double size : sizes) {
    DETENTE_CHECK(size == std::floor(size),
                  ErrorCode::kInvalidArgument,
                  "[{}] '{}' holds {}; expected whole numbers.",
                  who,
                  key,
                  size);
  }
}

void PairModelOptions::describe(FieldVisitor& visitor) {
  const NumberRule count{.min = 1, .max = 1e6};
  const NumberRule count_or_zero{.min = 0, .max = 1e6};
  const NumberRule share{.min = 0, .max = 1, .max_open = true};
  visitor.choice("mode",
                 mode,
                 {{"siamese", Mode::kSiamese}, {"cross", Mode::kCross}},
                 "siamese: each sentence alone, then compared; cross: both in one sequence.");
  visitor.integer("width", width, count, "Size of token vectors.");
  visitor.integer("layers", layers, count_or_zero, "Transformer layers; 0: a bag of embeddings.");
  visitor.integer("heads", heads, count, "Attention heads; must divide the width.");
  visitor.integer("ffn", ffn, count, "Width of the feed-forward part of a layer.");
  visitor.integer("max_length",
                  max_length,
                  {.min = 1, .max = 8192},
                  "Tokens kept per sentence; the rest is cut off.");
  visitor.choice("positions",
                 positions,
                 {{"none", Positions::kNone}, {"learned", Positions::kLearned}},
                 "Whether the encoder sees the order of tokens.");
  visitor.choice("pooling",
                 pooling,
                 {{"mean", Pooling::kMean}, {"idf", Pooling::kIdf}},
                 "How token vectors become one: plain mean, or rare tokens weigh more (inverse "
                 "document frequency in the training sentences).");
  visitor.flag(
      "learn_token_weights", learn_token_weights, "With pooling idf: the weights are trained too.");
  visitor.choice(
      "alignment",
      alignment,
      {{"none", Alignment::kNone}, {"tokens", Alignment::kTokens}, {"both", Alignment::kBoth}},
      "Siamese: give the trunk how well each token finds a partner in the other "
      "sentence, by token vectors, or also by the encoder's output.");
  visitor.flag("symmetric",
               symmetric,
               "Siamese: train on the pair in random order, predict the mean of both orders.");
  visitor.integer(
      "hidden", hidden, count_or_zero, "Width of the layer over the pair's features; 0: none.");
  visitor.number("dropout", dropout, share, "Share of activations dropped in layers and trunk.");
  visitor.number(
      "embedding_dropout", embedding_dropout, share, "Share of token vector entries dropped.");
  visitor.number("token_dropout", token_dropout, share, "Share of tokens dropped whole.");
}

void PairModelOptions::validate() const {
  DETENTE_CHECK(layers == 0 || width % heads == 0,
                ErrorCode::kInvalidArgument,
                "[nn::PairModelOptions] width must be a multiple of heads; got width {} and {} "
                "heads.",
                width,
                heads);
  DETENTE_CHECK(mode == Mode::kSiamese || alignment == Alignment::kNone,
                ErrorCode::kInvalidArgument,
                "[nn::PairModelOptions] alignment compares two encoded sentences; mode cross has "
                "one sequence. Use alignment: none or mode: siamese.");
}

void HeadOptions::describe(FieldVisitor& visitor) {
  visitor.choice("head",
                 kind,
                 task_kind_names(),
                 "regression: a number; binary: 0 or 1; classes: one of several. For each pixel of "
                 "data.kind dense: segmentation: one of several classes; depth: a number above 0; "
                 "normals: a direction.");
  visitor.integer(
      "classes", classes, {.min = 2, .max = 1e6}, "Class and segmentation tasks: how many.");
  visitor.choice(
      "output",
      output,
      {{"raw", Output::kRaw},
       {"scaled", Output::kScaled},
       {"sigmoid", Output::kSigmoid},
       {"standard", Output::kStandard}},
      "Regression: raw number; scaled to low + (high - low) x; sigmoid squeezes into (low, high); "
      "standard: loss and network see deviations from the mean of the training targets. Default: "
      "standard for tables, else raw.");
  visitor.number("low", low, {}, "Regression: lower end of the target's scale.");
  visitor.number("high", high, {}, "Regression: upper end of the target's scale.");
}

void HeadOptions::validate() const {
  DETENTE_CHECK(low < high,
                ErrorCode::kInvalidArgument,
                "[nn::HeadOptions] low must be below high; got {} and {}.",
                low,
                high);
}

}  // namespace detente::nn
