// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/pair_source.h>
#include <detente/nn/alignment.h>
#include <detente/nn/pair_trunk.h>
#include <detente/text/ppmi.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::nn {
namespace {

// Alignment features lie in [-2, 2] with most of their spread near 1; the factor lets the hidden
// layer see them beside layer-normalised numbers.
constexpr double kAlignmentScale = 3.0;
const data::PairSource& pair_source(const data::Source& source) {
  const auto* pairs = dynamic_cast<const data::PairSource*>(&source);
  DETENTE_CHECK(pairs != nullptr && std::string_view(source.kind()) == "pairs",
                ErrorCode::kInvalidArgument,
                "[nn::PairTrunk] model.kind pairs takes sentence pairs; data.kind is {}. Use "
                "data.kind: pairs or another model.",
                source.kind());
  return *pairs;
}

// Views into the batch's arrays.
std::vector<std::span<const std::int32_t>> sentences(const data::Batch& batch,
                                                     const std::string& name) {
  const auto& ids = std::get<std::vector<std::int32_t>>(data::array_of(batch, name).values);
  const auto& lengths =
      std::get<std::vector<std::int32_t>>(data::array_of(batch, name + "_length").values);
  std::vector<std::span<const std::int32_t>> rows;
  const std::size_t width = lengths.empty() ? 0 : ids.size() / lengths.size();
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    rows.emplace_back(ids.data() + i * width, static_cast<std::size_t>(lengths[i]));
  }
  return rows;
}

PairBatch pair_batch(const data::Batch& batch) {
  PairBatch pairs;
  pairs.first = sentences(batch, "first");
  pairs.second = sentences(batch, "second");
  if (const data::Array* numbers = data::find_array(batch, "numbers")) {
    pairs.extra = std::get<std::vector<float>>(numbers->values);
  }
  return pairs;
}

std::vector<std::vector<std::int32_t>> all_sentences(const data::PairData& data) {
  std::vector<std::vector<std::int32_t>> all = data.ids_a;
  all.insert(all.end(), data.ids_b.begin(), data.ids_b.end());
  return all;
}

}  // namespace

void PairTrunk::describe(FieldVisitor& model) {
  options_.describe(model);
  model.flag("lexical_features",
             lexical_,
             "Give the trunk explicit word-overlap numbers of the pair beside what it learns "
             "(docs/tokenizers.md lists them).");
  model.choice("embedding_init",
               embedding_init_,
               {{"random", EmbeddingInit::kRandom}, {"ppmi", EmbeddingInit::kPpmi}},
               "ppmi: embeddings start from the training sentences' own co-occurrence counts "
               "(positive pointwise mutual information, truncated SVD).");
  model.integer("ppmi_window",
                ppmi_window_,
                {.min = 1, .max = 50},
                "Tokens on each side that count as neighbours for embedding_init ppmi.");
}

void PairTrunk::prepare(data::Source& source) const {
  pair_source(source);  // refuses other kinds
  auto& pairs = static_cast<data::PairSource&>(source);
  pairs.check_two_texts();
  pairs.set_max_length(static_cast<std::size_t>(options_.max_length));
  pairs.set_lexical(lexical_);
}

void PairTrunk::build(const data::Source& fitted, Draw& draw) {
  const data::PairSource& pairs = pair_source(fitted);
  const text::Tokenizer& tokenizer = pairs.tokenizer();
  build({static_cast<std::int64_t>(tokenizer.size()),
         static_cast<std::int64_t>(tokenizer.ids_per_token()),
         tokenizer.special().pad,
         tokenizer.special().cls,
         tokenizer.special().sep},
        static_cast<std::int64_t>(pairs.numbers()),
        draw);
  if (options_.pooling == PairModelOptions::Pooling::kIdf) {
    // A token of every sentence weighs ln((1 + n) / (1 + n)) = 0, not the 1 of IdfTable.
    std::vector<double> weights = pairs.idf().values();
    for (double& weight : weights) weight = std::max(0.0, weight - 1.0);
    set_token_weights(weights);
  }
}

void PairTrunk::build(const Vocabulary& vocabulary, std::int64_t numbers, Draw& draw) {
  options_.validate();
  DETENTE_CHECK(vocabulary.size > 0 && vocabulary.ids_per_token > 0 && vocabulary.pad >= 0 &&
                    vocabulary.pad < vocabulary.size,
                ErrorCode::kInvalidArgument,
                "[nn::PairTrunk] the vocabulary has {} ids, {} per token, padding {}; expected at "
                "least one of each and a padding id among them.",
                vocabulary.size,
                vocabulary.ids_per_token,
                vocabulary.pad);
  vocabulary_ = vocabulary;
  numbers_ = numbers;
  parameters_ = Parameters();
  PairEncoder::add_parameters(options_, vocabulary_, draw, parameters_);
  if (options_.alignment == PairModelOptions::Alignment::kBoth) {
    parameters_.add("alignment.weight", torch::eye(options_.width));
  }
  parameters_.add_norm("features.norm", encoded_width());
  if (options_.hidden > 0) parameters_.add_linear(draw, "trunk", joined_width(), options_.hidden);
  if (numbers > 0) {
    parameters_.add_fixed("extra.mean", torch::zeros({numbers}));
    parameters_.add_fixed("extra.deviation", torch::ones({numbers}));
  }
}

void PairTrunk::start_from(const data::Source& training, Rng& rng) {
  const data::PairSource& source = pair_source(training);
  const Matrix& features = source.pairs().features;
  std::vector<double> means(features.cols());
  std::vector<double> deviations(features.cols());
  const auto rows = static_cast<double>(source.size());
  for (std::size_t j = 0; j < means.size(); ++j) {
    for (std::size_t i = 0; i < source.size(); ++i) means[j] += features(i, j) / rows;
    for (std::size_t i = 0; i < source.size(); ++i) {
      const double difference = features(i, j) - means[j];
      deviations[j] += difference * difference / rows;
    }
    deviations[j] = std::sqrt(deviations[j]);
  }
  set_number_scale(means, deviations);
  if (embedding_init_ != EmbeddingInit::kPpmi) return;
  text::PpmiOptions options;
  options.width = static_cast<std::size_t>(options_.width);
  options.window = static_cast<std::size_t>(ppmi_window_);
  options.ids_per_token = source.tokenizer().ids_per_token();
  set_embedding(
      text::ppmi_embedding(all_sentences(source.pairs()), source.tokenizer().size(), options, rng));
}

std::int64_t PairTrunk::encoded_width() const {
  if (options_.mode == PairModelOptions::Mode::kCross) return options_.width;
  return 4 * options_.width;
}
std::int64_t PairTrunk::alignment_width() const {
  switch (options_.alignment) {
    case PairModelOptions::Alignment::kNone:
      return 0;
    case PairModelOptions::Alignment::kTokens:
      return kAlignmentFeatures;
    case PairModelOptions::Alignment::kBoth:
      return 2 * kAlignmentFeatures;
  }
  return 0;
}
std::string PairTrunk::long_start() const {
  if (embedding_init_ != EmbeddingInit::kPpmi) return {};
  return "Computing initial embeddings from the training sentences.";
}

std::int64_t PairTrunk::joined_width() const {
  return encoded_width() + alignment_width() + numbers_;
}

std::int64_t PairTrunk::width() const {
  return options_.hidden > 0 ? options_.hidden : joined_width();
}

at::Tensor PairTrunk::features(const data::Batch& batch, Rng* random) const {
  return features(pair_batch(batch), random);
}

TensorList PairTrunk::views(const data::Batch& batch) const { return views(pair_batch(batch)); }

at::Tensor PairTrunk::features(const PairBatch& batch, Rng* random) const {
  std::vector<bool> swapped(batch.rows(), false);
  if (random != nullptr && options_.symmetric) {
    for (std::size_t i = 0; i < swapped.size(); ++i) swapped[i] = (*random)() >> 63U != 0;
  }
  Dropout drop(random);
  return features(batch, swapped, drop);
}

TensorList PairTrunk::views(const PairBatch& batch) const {
  Dropout off(nullptr);
  TensorList views = {features(batch, std::vector<bool>(batch.rows(), false), off)};
  if (options_.symmetric && options_.mode == PairModelOptions::Mode::kSiamese) {
    views.push_back(features(batch, std::vector<bool>(batch.rows(), true), off));
  }
  return views;
}

at::Tensor PairTrunk::features(const PairBatch& batch,
                               const std::vector<bool>& swapped,
                               Dropout& drop) const {
  DETENTE_CHECK(batch.rows() > 0 && batch.second.size() == batch.rows(),
                ErrorCode::kShape,
                "[nn::PairTrunk] a batch needs at least one pair and as many second as first "
                "sentences; got {} and {}.",
                batch.first.size(),
                batch.second.size());
  const auto numbers = static_cast<std::size_t>(numbers_);
  DETENTE_CHECK(batch.extra.size() == batch.rows() * numbers,
                ErrorCode::kShape,
                "[nn::PairTrunk] expected {} extra numbers for {} pairs, got {}.",
                batch.rows() * numbers,
                batch.rows(),
                batch.extra.size());
  TensorList joined = options_.mode == PairModelOptions::Mode::kCross
                          ? cross_features(batch, drop)
                          : siamese_features(batch, swapped, drop);
  at::Tensor extra;
  if (numbers_ > 0) {
    extra = torch::tensor(at::ArrayRef<float>(batch.extra))
                .view({static_cast<std::int64_t>(batch.rows()), numbers_})
                .to(parameters_("embedding.weight").options());
  }
  return closed(std::move(joined), extra, drop);
}

at::Tensor PairTrunk::closed(TensorList joined, const at::Tensor& extra, Dropout& drop) const {
  if (numbers_ > 0) {
    joined.push_back((extra - parameters_("extra.mean")) / parameters_("extra.deviation"));
  }
  const at::Tensor all = joined.size() == 1 ? joined.front() : torch::cat(joined, 1);
  if (options_.hidden == 0) return drop(all, options_.dropout);
  return drop(torch::gelu(parameters_.linear(all, "trunk")), options_.dropout);
}

TensorList PairTrunk::siamese_features(const PairBatch& batch,
                                       const std::vector<bool>& swapped,
                                       Dropout& drop) const {
  const PairEncoder coder = encoder();
  const auto count = static_cast<std::int64_t>(batch.rows());
  std::vector<std::vector<std::int32_t>> rows(2 * batch.rows());
  for (std::size_t i = 0; i < batch.rows(); ++i) {
    const bool swap = swapped[i];
    rows[i] = coder.cut(swap ? batch.second[i] : batch.first[i]);
    rows[batch.rows() + i] = coder.cut(swap ? batch.first[i] : batch.second[i]);
  }
  const EncodedSide both = coder.encode(coder.pad(rows), {}, drop);
  return compared(both.rows(0, count), both.rows(count, 2 * count));
}

TensorList PairTrunk::compared(const EncodedSide& a, const EncodedSide& b) const {
  const at::Tensor& u = a.pooled;
  const at::Tensor& v = b.pooled;
  TensorList joined = {
      parameters_.norm(torch::cat({u, v, (u - v).abs(), u * v}, 1), "features.norm")};
  if (options_.alignment != PairModelOptions::Alignment::kNone) {
    joined.push_back(kAlignmentScale *
                     alignment_features(a.tokens, b.tokens, a.mask, b.mask, a.weight, b.weight));
  }
  if (options_.alignment == PairModelOptions::Alignment::kBoth) {
    const at::Tensor& projection = parameters_("alignment.weight");
    joined.push_back(kAlignmentScale * alignment_features(torch::matmul(a.outputs, projection.t()),
                                                          torch::matmul(b.outputs, projection.t()),
                                                          a.mask,
                                                          b.mask,
                                                          a.weight,
                                                          b.weight));
  }
  return joined;
}

at::Tensor PairTrunk::text_vectors(const data::Batch& batch) const {
  DETENTE_CHECK(
      options_.mode == PairModelOptions::Mode::kSiamese,
      ErrorCode::kUnsupported,
      "[nn::PairTrunk] with model.mode cross the network sees both sentences at once and has no "
      "vector of one. Train with model.mode: siamese.");
  const PairEncoder coder = encoder();
  std::vector<std::vector<std::int32_t>> rows;
  for (const auto& ids : sentences(batch, "first")) rows.push_back(coder.cut(ids));
  DETENTE_CHECK(
      !rows.empty(), ErrorCode::kShape, "[nn::PairTrunk] a batch needs at least one text.");
  Dropout off(nullptr);
  return coder.encode(coder.pad(rows), {}, off).pooled;
}

TensorList PairTrunk::cross_features(const PairBatch& batch, Dropout& drop) const {
  const PairEncoder coder = encoder();
  const auto unit = static_cast<std::size_t>(vocabulary_.ids_per_token);
  std::vector<std::vector<std::int32_t>> rows(batch.rows());
  std::vector<std::size_t> first_lengths(batch.rows());
  for (std::size_t i = 0; i < batch.rows(); ++i) {
    auto& row = rows[i];
    const auto append = [&](const std::vector<std::int32_t>& ids) {
      row.insert(row.end(), ids.begin(), ids.end());
    };
    row.assign(unit, vocabulary_.cls);
    append(coder.cut(batch.first[i]));
    row.insert(row.end(), unit, vocabulary_.sep);
    first_lengths[i] = row.size() / unit;
    append(coder.cut(batch.second[i]));
    row.insert(row.end(), unit, vocabulary_.sep);
  }
  const at::Tensor ids = coder.pad(rows);
  at::Tensor segments = torch::ones({ids.size(0), ids.size(1)}, torch::kInt64);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    segments[static_cast<std::int64_t>(i)]
        .slice(0, 0, static_cast<std::int64_t>(first_lengths[i]))
        .zero_();
  }
  const EncodedSide side = coder.encode(ids, segments.to(ids.device()), drop);
  return {parameters_.norm(side.pooled, "features.norm")};
}

void PairTrunk::set_embedding(MatrixView table) {
  DETENTE_CHECK(static_cast<std::int64_t>(table.rows) == vocabulary_.size &&
                    static_cast<std::int64_t>(table.cols) == options_.width,
                ErrorCode::kShape,
                "[nn::PairTrunk] the embedding table must be {}x{}; got {}x{}.",
                vocabulary_.size,
                options_.width,
                table.rows,
                table.cols);
  parameters_.assign("embedding.weight", {table.data, table.rows * table.cols});
  const torch::NoGradGuard no_grad;
  at::Tensor embedding = parameters_("embedding.weight");
  embedding[vocabulary_.pad].zero_();
}

void PairTrunk::set_token_weights(std::span<const double> weights) {
  DETENTE_CHECK(static_cast<std::int64_t>(weights.size()) == vocabulary_.size,
                ErrorCode::kShape,
                "[nn::PairTrunk] expected {} token weights, got {}.",
                vocabulary_.size,
                weights.size());
  DETENTE_CHECK(std::all_of(weights.begin(), weights.end(), [](double w) { return w >= 0; }) &&
                    std::any_of(weights.begin(), weights.end(), [](double w) { return w > 0; }),
                ErrorCode::kInvalidArgument,
                "[nn::PairTrunk] token weights must be >= 0 and not all zero.");
  parameters_.assign("token_weights", weights);
  const torch::NoGradGuard no_grad;
  at::Tensor own = parameters_("token_weights");
  own[vocabulary_.pad] = 0;
}

void PairTrunk::set_number_scale(std::span<const double> means,
                                 std::span<const double> deviations) {
  const auto numbers = static_cast<std::size_t>(numbers_);
  DETENTE_CHECK(means.size() == numbers && deviations.size() == numbers,
                ErrorCode::kShape,
                "[nn::PairTrunk] expected {} means and deviations, got {} and {}.",
                numbers,
                means.size(),
                deviations.size());
  if (numbers == 0) return;
  std::vector<double> positive(deviations.begin(), deviations.end());
  for (double& value : positive) value = value > 0 ? value : 1.0;
  parameters_.assign("extra.mean", means);
  parameters_.assign("extra.deviation", positive);
}

}  // namespace detente::nn
