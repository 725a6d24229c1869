// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/attention.h>
#include <detente/nn/pair_encoder.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace detente::nn {
namespace {

// Residual branches start small, so that an untrained layer is nearly the identity.
constexpr double kResidualScale = 0.3;
constexpr double kPositionDeviation = 0.1;
// Keeps the pooling of a sentence whose tokens all weigh 0 defined.
constexpr double kWeightFloor = 1e-6;

std::string layer_name(std::int64_t i) { return "layers." + std::to_string(i); }

// Longest sequence the encoder may see.
std::int64_t sequence_limit(const PairModelOptions& options) {
  return options.mode == PairModelOptions::Mode::kCross ? 2 * options.max_length + 3
                                                        : options.max_length;
}

}  // namespace

EncodedSide EncodedSide::rows(std::int64_t begin, std::int64_t end) const {
  return {pooled.slice(0, begin, end),
          tokens.slice(0, begin, end),
          outputs.slice(0, begin, end),
          mask.slice(0, begin, end),
          weight.slice(0, begin, end)};
}

void PairEncoder::add_parameters(const PairModelOptions& options,
                                 const Vocabulary& vocabulary,
                                 Draw& draw,
                                 Parameters& parameters) {
  const std::int64_t d = options.width;
  at::Tensor embedding = draw.normal({vocabulary.size, d}, 1.0);
  embedding[vocabulary.pad].zero_();
  parameters.add("embedding.weight", embedding);
  at::Tensor weights = torch::ones({vocabulary.size});
  weights[vocabulary.pad] = 0;
  if (options.learn_token_weights) {
    parameters.add("token_weights", weights);
  } else {
    parameters.add_fixed("token_weights", weights);
  }
  if (options.positions == PairModelOptions::Positions::kLearned) {
    parameters.add("position.weight",
                   draw.normal({sequence_limit(options), d}, kPositionDeviation));
  }
  if (options.mode == PairModelOptions::Mode::kCross) {
    parameters.add("segment.weight", draw.normal({2, d}, kPositionDeviation));
  }
  for (std::int64_t i = 0; i < options.layers; ++i) {
    parameters.add_norm(layer_name(i) + ".norm1", d);
    parameters.add_linear(draw, layer_name(i) + ".attention.qkv", d, 3 * d);
    parameters.add_linear(draw, layer_name(i) + ".attention.out", d, d, kResidualScale);
    parameters.add_norm(layer_name(i) + ".norm2", d);
    parameters.add_linear(draw, layer_name(i) + ".ffn.in", d, options.ffn);
    parameters.add_linear(draw, layer_name(i) + ".ffn.out", options.ffn, d, kResidualScale);
  }
  if (options.layers > 0) parameters.add_norm("norm", d);
}

std::vector<std::int32_t> PairEncoder::cut(std::span<const std::int32_t> ids) const {
  const auto limit = static_cast<std::size_t>(options_.max_length * vocabulary_.ids_per_token);
  return {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(limit, ids.size()))};
}

at::Tensor PairEncoder::pad(const std::vector<std::vector<std::int32_t>>& rows) const {
  const auto unit = static_cast<std::size_t>(vocabulary_.ids_per_token);
  std::size_t longest = unit;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  at::Tensor ids =
      torch::full({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(longest)},
                  vocabulary_.pad,
                  torch::kInt64);
  auto* data = ids.data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const std::int32_t id : rows[i]) {
      DETENTE_CHECK(id >= 0 && id < vocabulary_.size,
                    ErrorCode::kData,
                    "[nn::PairTrunk] token id {} is not in the vocabulary of {}; the text was "
                    "encoded with another tokenizer.",
                    id,
                    vocabulary_.size);
      *data++ = id;
    }
    data += longest - rows[i].size();
  }
  return ids.view({ids.size(0), -1, vocabulary_.ids_per_token})
      .to(parameters_("embedding.weight").device());
}

at::Tensor PairEncoder::attention(const at::Tensor& x,
                                  const at::Tensor& blocked,
                                  const std::string& name) const {
  const std::int64_t head_width = options_.width / options_.heads;
  const at::Tensor qkv = parameters_.linear(x, name + ".attention.qkv")
                             .unflatten(2, {3, options_.heads, head_width})
                             .permute({2, 0, 3, 1, 4});
  const at::Tensor query = qkv[0] / std::sqrt(static_cast<double>(head_width));
  return parameters_.linear(attend(query, qkv[1], qkv[2], blocked), name + ".attention.out");
}

EncodedSide PairEncoder::encode(const at::Tensor& ids,
                                const at::Tensor& segments,
                                Dropout& drop,
                                Lengths lengths) const {
  // Trained weights may cross 0, where the means below would have no sense.
  const at::Tensor weights = options_.learn_token_weights ? parameters_("token_weights").abs()
                                                          : parameters_("token_weights");
  const at::Tensor id_weights = weights.index_select(0, ids.reshape({-1})).view_as(ids);
  const at::Tensor vectors = torch::embedding(parameters_("embedding.weight"), ids);
  // The floor goes under the root, whose slope at 0 is infinite: padding weighs 0.
  const at::Tensor scale = id_weights.square().sum(2, true).clamp_min(1e-6).sqrt();
  EncodedSide side;
  side.tokens = (vectors * id_weights.unsqueeze(-1)).sum(2) / scale;
  side.mask = ids.select(2, 0) != vocabulary_.pad;
  if (drop.on() && options_.token_dropout > 0) {
    at::Tensor keep = drop.mask(side.mask, 1.0 - options_.token_dropout).logical_and(side.mask);
    // A sentence of which nothing is left keeps its first token.
    const at::Tensor none = keep.any(1).logical_not();
    keep.select(1, 0).logical_or_(none);
    side.mask = keep.logical_and(side.mask);
  }
  const at::Tensor real = side.mask.to(side.tokens.scalar_type());
  side.weight = (id_weights.mean(2) + kWeightFloor) * real;

  at::Tensor x = side.tokens;
  if (options_.positions == PairModelOptions::Positions::kLearned) {
    const at::Tensor& table = parameters_("position.weight");
    x = x + (lengths == Lengths::kThis ? table.slice(0, 0, ids.size(1))
                                       : torch::embedding(table, token_places(ids.select(2, 0))));
  }
  if (segments.defined()) x = x + torch::embedding(parameters_("segment.weight"), segments);
  x = drop(x, options_.embedding_dropout);
  const at::Tensor blocked = side.mask.logical_not().unsqueeze(1).unsqueeze(1);
  for (std::int64_t i = 0; i < options_.layers; ++i) {
    const std::string name = layer_name(i);
    x = x + drop(attention(parameters_.norm(x, name + ".norm1"), blocked, name), options_.dropout);
    const at::Tensor inner =
        torch::gelu(parameters_.linear(parameters_.norm(x, name + ".norm2"), name + ".ffn.in"));
    x = x + drop(parameters_.linear(inner, name + ".ffn.out"), options_.dropout);
  }
  if (options_.layers > 0) x = parameters_.norm(x, "norm");
  side.outputs = x;
  // An empty sentence is the zero vector.
  side.pooled =
      (x * side.weight.unsqueeze(-1)).sum(1) / side.weight.sum(1, true).clamp_min(kWeightFloor);
  return side;
}

}  // namespace detente::nn
