// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/pair_source.h>
#include <detente/data/source_files.h>
#include <detente/nn/transformer_trunk.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

namespace detente::nn {
namespace {

// Beside entries of size one a cosine should weigh; 3 is what the pair trunk gives its alignment.
constexpr double kCosineScale = 3.0;

const data::PairSource& text_source(const data::Source& source) {
  const auto* texts = dynamic_cast<const data::PairSource*>(&source);
  DETENTE_CHECK(texts != nullptr,
                ErrorCode::kInvalidArgument,
                "[nn::TransformerTrunk] model.kind transformer takes texts or sentence pairs; "
                "data.kind is {}. Use data.kind: text or pairs, or another model.",
                source.kind());
  return *texts;
}

}  // namespace

void TransformerTrunk::describe(FieldVisitor& model) {
  model.text("pretrained",
             pretrained_,
             "Folder of a published BERT model (config.json, model.safetensors, vocab.txt), whose "
             "parameters training starts from; it decides width, layers, heads, ffn and positions. "
             "tokenizer.vocab must name its vocab.txt. Empty: from scratch.");
  model.choice(
      "mode",
      mode_,
      {{"siamese", Mode::kSiamese}, {"cross", Mode::kCross}},
      "Pairs: siamese encodes each sentence alone and compares the vectors; cross encodes both "
      "as one sequence.");
  model.choice("pooling",
               pooling_,
               {{"mean", Pooling::kMean}, {"cls", Pooling::kCls}},
               "A sequence's vector: the mean over its tokens, or the first token's.");
  model.integer("width", shape_.width, {.min = 1, .max = 1e5}, "Numbers per token.");
  model.integer("layers", shape_.layers, {.min = 1, .max = 1000}, "Layers of the encoder.");
  model.integer("heads", shape_.heads, {.min = 1, .max = 1e4}, "Attention heads; divide width.");
  model.integer("ffn", shape_.ffn, {.min = 1, .max = 1e6}, "Width of the layers' inner part.");
  model.integer("positions",
                shape_.positions,
                {.min = 3, .max = 1e6},
                "Longest sequence in tokens, special ones included.");
  model.integer("max_length",
                max_length_,
                {.min = 1, .max = 1e6},
                "Tokens per text, without special ones; the rest is cut off.");
  model.integer("hidden",
                hidden_,
                {.min = 0, .max = 1e6},
                "Width of a layer between the vectors and the heads; 0: none.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of activations dropped after embeddings, attention and inner layers.");
  model.integer("freeze",
                frozen_,
                {.min = 0, .max = 1001},
                "So many parts stay as they start: 1 the embeddings, 2 also the first layer, ...");
  model.number("rate",
               rate_,
               {.min = 0, .max = 1, .min_open = true},
               "The encoder's learning rate as a share of optimizer.lr, which the heads have.");
  model.number("layer_decay",
               layer_decay_,
               {.min = 0, .max = 1, .min_open = true},
               "Each layer's learning rate as a share of the next one's, the last layer having "
               "`rate`.");
}

void TransformerTrunk::validate() const {
  DETENTE_CHECK(shape_.width % shape_.heads == 0,
                ErrorCode::kInvalidArgument,
                "[nn::TransformerTrunk] 'heads' is {}, which does not divide 'width' {}.",
                shape_.heads,
                shape_.width);
  const bool cross = mode_ == Mode::kCross;
  const std::int64_t longest = cross ? 2 * max_length_ + 3 : max_length_ + 2;
  DETENTE_CHECK(
      longest <= shape_.positions,
      ErrorCode::kInvalidArgument,
      "[nn::TransformerTrunk] 'max_length' {} needs {} positions{}; 'positions' is {}. Lower "
      "model.max_length.",
      max_length_,
      longest,
      cross ? " for two texts in one sequence" : "",
      shape_.positions);
  DETENTE_CHECK(frozen_ <= shape_.layers + 1,
                ErrorCode::kInvalidArgument,
                "[nn::TransformerTrunk] 'freeze' is {}; the embeddings and {} layers are {} parts.",
                frozen_,
                shape_.layers,
                shape_.layers + 1);
}

void TransformerTrunk::resolve_paths(const std::filesystem::path& folder) {
  if (pretrained_.empty()) return;
  pretrained_ = data::absolute_path(pretrained_, folder);
  // A run that is used where the folder is not has these numbers in its recipe.
  std::error_code error;
  if (std::filesystem::exists(pretrained_, error)) shape_ = TransformerShape::read(pretrained_);
}

void TransformerTrunk::prepare(data::Source& source) const {
  text_source(source);  // refuses other kinds
  auto& texts = static_cast<data::PairSource&>(source);
  texts.set_max_length(static_cast<std::size_t>(max_length_));
  texts.set_lexical(false);
}

void TransformerTrunk::build(const data::Source& fitted, Draw& draw) {
  validate();
  const data::PairSource& texts = text_source(fitted);
  const text::Tokenizer& tokenizer = texts.tokenizer();
  DETENTE_CHECK(
      tokenizer.ids_per_token() == 1,
      ErrorCode::kInvalidArgument,
      "[nn::TransformerTrunk] tokenizer.kind {} gives {} ids a token; expected one, as of "
      "wordpiece and syllable.",
      tokenizer.kind(),
      tokenizer.ids_per_token());
  pairs_ = texts.has_pairs();
  pad_ = tokenizer.special().pad;
  cls_ = tokenizer.special().cls;
  sep_ = tokenizer.special().sep;
  parameters_ = Parameters();
  TransformerEncoder::add_parameters(
      shape_, static_cast<std::int64_t>(tokenizer.size()), frozen_, draw, parameters_);
  if (hidden_ > 0) parameters_.add_linear(draw, "trunk", joined_width(), hidden_);
}

void TransformerTrunk::start_from(const data::Source& /*training*/, Rng& /*rng*/) {
  if (!pretrained_.empty()) load_published(pretrained_, parameters_);
}

std::string TransformerTrunk::long_start() const {
  return pretrained_.empty() ? "" : "Reading the parameters of " + pretrained_ + ".";
}

std::int64_t TransformerTrunk::joined_width() const {
  return siamese() ? 4 * shape_.width + 1 : shape_.width;
}

std::int64_t TransformerTrunk::width() const { return hidden_ > 0 ? hidden_ : joined_width(); }

std::vector<double> TransformerTrunk::learning_rates() const {
  std::vector<double> rates;
  for (const std::string& name : parameters_.trained_names()) {
    const std::int64_t depth = TransformerEncoder::depth(shape_, name);
    rates.push_back(depth > shape_.layers
                        ? 1.0
                        : rate_ *
                              std::pow(layer_decay_, static_cast<double>(shape_.layers - depth)));
  }
  return rates;
}

std::pair<at::Tensor, at::Tensor> TransformerTrunk::sequences(
    const data::Batch& batch, const std::vector<const char*>& sides) const {
  // In a cross encoder the sides of an example follow one another; else they are examples apart.
  const bool joined = !siamese();
  struct Side {
    const std::int32_t* ids;
    std::size_t stride;
    const std::vector<std::int32_t>* lengths;
  };
  std::vector<Side> arrays;
  std::size_t count = 0;
  for (const char* name : sides) {
    const auto& ids = std::get<std::vector<std::int32_t>>(data::array_of(batch, name).values);
    const auto& lengths = std::get<std::vector<std::int32_t>>(
        data::array_of(batch, std::string(name) + "_length").values);
    count = lengths.size();
    DETENTE_CHECK(
        count > 0, ErrorCode::kShape, "[nn::TransformerTrunk] a batch needs at least one text.");
    arrays.push_back({ids.data(), ids.size() / count, &lengths});
  }
  const std::size_t rows = joined ? count : count * arrays.size();
  std::size_t longest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t together = 1;
    for (const Side& side : arrays) {
      const auto length = static_cast<std::size_t>((*side.lengths)[i]);
      together += length + 1;
      if (!joined) longest = std::max(longest, length + 2);
    }
    if (joined) longest = std::max(longest, together);
  }
  const Sizes shape = {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(longest)};
  at::Tensor ids = torch::full(shape, pad_, torch::kInt64);
  at::Tensor segments = torch::zeros(shape, torch::kInt64);
  const std::int64_t vocabulary = parameters_("embeddings.word_embeddings.weight").size(0);
  for (std::size_t row = 0; row < rows; ++row) {
    std::int64_t* id = ids.data_ptr<std::int64_t>() + row * longest;
    std::int64_t* segment = segments.data_ptr<std::int64_t>() + row * longest;
    *id++ = cls_;
    ++segment;
    const std::size_t first = joined ? 0 : row / count;
    const std::size_t last = joined ? arrays.size() : first + 1;
    for (std::size_t s = first; s < last; ++s) {
      const std::size_t example = row % count;
      const std::int32_t* text = arrays[s].ids + example * arrays[s].stride;
      const auto length = static_cast<std::size_t>((*arrays[s].lengths)[example]);
      for (std::size_t t = 0; t <= length; ++t) {
        const std::int64_t token = t < length ? text[t] : sep_;
        DETENTE_CHECK(
            token >= 0 && token < vocabulary,
            ErrorCode::kData,
            "[nn::TransformerTrunk] token id {} is not in the vocabulary of {}; the text was "
            "encoded with another tokenizer.",
            token,
            vocabulary);
        *id++ = token;
        *segment++ = static_cast<std::int64_t>(s - first);
      }
    }
  }
  const at::Device device = parameters_("embeddings.LayerNorm.weight").device();
  return {ids.to(device), segments.to(device)};
}

at::Tensor TransformerTrunk::pooled(const at::Tensor& ids,
                                    const at::Tensor& segments,
                                    Dropout& drop) const {
  const at::Tensor real = ids != pad_;
  const at::Tensor x = encoder()(ids, real, segments, drop, dropout_);
  if (pooling_ == Pooling::kCls) return x.select(1, 0);
  const at::Tensor share = real.to(x.scalar_type()).unsqueeze(-1);
  return (x * share).sum(1) / share.sum(1);
}

at::Tensor TransformerTrunk::compared(at::Tensor u, at::Tensor v) const {
  const double size = std::sqrt(static_cast<double>(shape_.width));
  const auto unit = [](const at::Tensor& x) {
    return x / x.norm(2, -1, /*keepdim=*/true).clamp_min(1e-6);
  };
  u = unit(u);
  v = unit(v);
  const at::Tensor cosine = kCosineScale * (u * v).sum(1, /*keepdim=*/true);
  u = size * u;
  v = size * v;
  return torch::cat({u, v, (u - v).abs(), u * v, cosine}, 1);
}

at::Tensor TransformerTrunk::closed(const at::Tensor& joined, Dropout& drop) const {
  if (hidden_ == 0) return drop(joined, dropout_);
  return drop(torch::gelu(parameters_.linear(joined, "trunk")), dropout_);
}

at::Tensor TransformerTrunk::features(const data::Batch& batch, Rng* random) const {
  Dropout drop(random);
  if (!pairs_) {
    return closed(pooled(sequences(batch, {"first"}).first, {}, drop), drop);
  }
  const auto [ids, segments] = sequences(batch, {"first", "second"});
  if (!siamese()) return closed(pooled(ids, segments, drop), drop);
  const at::Tensor both = pooled(ids, {}, drop);
  const std::int64_t count = both.size(0) / 2;
  return closed(compared(both.slice(0, 0, count), both.slice(0, count)), drop);
}

at::Tensor TransformerTrunk::text_vectors(const data::Batch& batch) const {
  DETENTE_CHECK(
      !pairs_ || siamese(),
      ErrorCode::kUnsupported,
      "[nn::TransformerTrunk] with model.mode cross the network sees both texts at once and has no "
      "vector of one. Train with model.mode: siamese, or on single texts.");
  Dropout off(nullptr);
  return pooled(sequences(batch, {"first"}).first, {}, off);
}

PortableInputs TransformerTrunk::portable_inputs(const data::Source& /*fitted*/) const {
  PortableInputs inputs;
  const auto add = [&](const char* name, const std::string& meaning, std::int64_t length) {
    inputs.list.push_back({name, {"batch", std::string(name) + "_length"}, meaning});
    at::Tensor example = torch::full({2, length}, cls_, torch::kInt64);
    example.select(0, 1).select(0, length - 1).fill_(pad_);
    inputs.examples.push_back(std::move(example));
  };
  const std::string ids =
      "Token ids with [CLS] before and [SEP] after each text, padded at the end with " +
      std::to_string(pad_) + "; at most " + std::to_string(shape_.positions);
  add("first", ids, 3);
  if (siamese()) add("second", ids, 4);
  if (pairs_ && !siamese()) {
    inputs.list.push_back({"segments",
                           {"batch", "first_length"},
                           "0 up to the first [SEP], 1 from there to the second, 0 for padding"});
    inputs.examples.push_back(torch::zeros({2, 3}, torch::kInt64));
  }
  return inputs;
}

TensorList TransformerTrunk::portable_views(const TensorList& inputs,
                                            const data::Source& /*fitted*/) const {
  Dropout off(nullptr);
  if (siamese()) {
    return {closed(compared(pooled(inputs.at(0), {}, off), pooled(inputs.at(1), {}, off)), off)};
  }
  return {closed(pooled(inputs.at(0), pairs_ ? inputs.at(1) : at::Tensor(), off), off)};
}

}  // namespace detente::nn
