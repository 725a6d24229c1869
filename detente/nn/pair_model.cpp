// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/alignment.h>
#include <detente/nn/pair_model.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

namespace detente::nn {
namespace {

// Residual branches start small, so that an untrained layer is nearly the identity.
constexpr double kResidualScale = 0.3;
constexpr double kPositionDeviation = 0.1;
// Alignment features lie in [-2, 2] with most of their spread near 1; the factor lets the hidden
// layer see them beside layer-normalised numbers.
constexpr double kAlignmentScale = 3.0;
// Keeps the pooling of a sentence whose tokens all weigh 0 defined.
constexpr double kWeightFloor = 1e-6;

// Numbers for initialisation and dropout, from the caller's generator alone.
class Draw {
 public:
  explicit Draw(Rng& rng) : rng_(rng) {}

  at::Tensor uniform(at::IntArrayRef shape, double bound) {
    return fill(shape, [&] { return bound * (2.0 * rng_.uniform() - 1.0); });
  }
  at::Tensor normal(at::IntArrayRef shape, double deviation) {
    return fill(shape, [&] { return deviation * rng_.normal(); });
  }

 private:
  template <class Next>
  at::Tensor fill(at::IntArrayRef shape, const Next& next) {
    at::Tensor tensor = torch::empty(shape, torch::kFloat32);
    float* data = tensor.data_ptr<float>();
    for (std::int64_t i = 0; i < tensor.numel(); ++i) data[i] = static_cast<float>(next());
    return tensor;
  }

  Rng& rng_;
};

// Dropout whose masks come from one generator of ours, drawn on the host whatever the device: the
// same on every engine, and none of LibTorch's global state.
class Dropout {
 public:
  explicit Dropout(Rng* rng) {
    if (rng != nullptr) rng_ = Rng((*rng)());
  }

  bool on() const { return rng_.has_value(); }
  // 1 with probability `keep` (to 1/65536), else 0; four of them from each random number.
  at::Tensor mask(at::IntArrayRef shape, double keep, const at::TensorOptions& options) {
    at::Tensor mask = torch::empty(shape, torch::kFloat32);
    float* out = mask.data_ptr<float>();
    float* const end = out + mask.numel();
    const auto limit = static_cast<std::uint64_t>(std::lround(keep * 65536.0));
    while (out < end) {
      std::uint64_t bits = (*rng_)();
      for (int i = 0; i < 4 && out < end; ++i, bits >>= 16U) {
        *out++ = (bits & 0xffffU) < limit ? 1.0F : 0.0F;
      }
    }
    return mask.to(options);
  }
  at::Tensor operator()(const at::Tensor& x, double share) {
    if (!on() || share <= 0) return x;
    return x * mask(x.sizes(), 1.0 - share, x.options()).div_(1.0 - share);
  }

 private:
  std::optional<Rng> rng_;
};

void add_linear(NamedTensors& to,
                Draw& draw,
                const std::string& name,
                std::int64_t in,
                std::int64_t out,
                double scale = 1.0) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  to.emplace_back(name + ".weight", draw.uniform({out, in}, scale * bound));
  to.emplace_back(name + ".bias", draw.uniform({out}, bound));
}

void add_norm(NamedTensors& to, const std::string& name, std::int64_t width) {
  to.emplace_back(name + ".weight", torch::ones({width}));
  to.emplace_back(name + ".bias", torch::zeros({width}));
}

std::string layer_name(std::int64_t i) { return "layers." + std::to_string(i); }

// One encoded side of a batch.
struct EncodedSide {
  at::Tensor pooled;   // [B, d]
  at::Tensor tokens;   // [B, n, d] before position and layers
  at::Tensor outputs;  // [B, n, d] after the encoder
  at::Tensor mask;     // [B, n] bool
  at::Tensor weight;   // [B, n]

  EncodedSide rows(std::int64_t begin, std::int64_t end) const {
    return {pooled.slice(0, begin, end),
            tokens.slice(0, begin, end),
            outputs.slice(0, begin, end),
            mask.slice(0, begin, end),
            weight.slice(0, begin, end)};
  }
};

}  // namespace

struct PairModel::Impl {
  struct Parameters {
    NamedTensors shared;
    std::vector<NamedTensors> heads;
    NamedTensors fixed;  // saved with the model, not trained

    const at::Tensor& operator()(const std::string& name) const { return *index.at(name); }
    std::map<std::string, const at::Tensor*> index;

    void build_index() {
      index.clear();
      for (const auto& [name, tensor] : shared) index[name] = &tensor;
      for (const auto& [name, tensor] : fixed) index[name] = &tensor;
      for (const auto& head : heads) {
        for (const auto& [name, tensor] : head) index[name] = &tensor;
      }
    }
  };

  PairModelOptions options;
  Vocabulary vocabulary;
  std::vector<TaskHead> heads;
  std::int64_t extra = 0;
  Parameters parameters;

  at::TensorOptions float_options() const { return parameters("embedding.weight").options(); }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return torch::linear(x, parameters(name + ".weight"), parameters(name + ".bias"));
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return torch::layer_norm(
        x, {x.size(-1)}, parameters(name + ".weight"), parameters(name + ".bias"));
  }

  std::int64_t feature_width() const {
    if (options.mode == PairModelOptions::Mode::kCross) return options.width;
    return 4 * options.width;
  }
  std::int64_t alignment_width() const {
    switch (options.alignment) {
      case PairModelOptions::Alignment::kNone:
        return 0;
      case PairModelOptions::Alignment::kTokens:
        return kAlignmentFeatures;
      case PairModelOptions::Alignment::kBoth:
        return 2 * kAlignmentFeatures;
    }
    return 0;
  }
  std::int64_t trunk_width() const {
    const std::int64_t joined = feature_width() + alignment_width() + extra;
    return options.hidden > 0 ? options.hidden : joined;
  }

  void make_parameters(std::uint64_t seed) {
    Rng rng = Rng(seed).fork(0x6d6f64656c);
    Draw draw(rng);
    const std::int64_t d = options.width;
    NamedTensors& shared = parameters.shared;
    at::Tensor embedding = draw.normal({vocabulary.size, d}, 1.0);
    embedding[vocabulary.pad].zero_();
    shared.emplace_back("embedding.weight", embedding);
    at::Tensor weights = torch::ones({vocabulary.size});
    weights[vocabulary.pad] = 0;
    (options.learn_token_weights ? shared : parameters.fixed)
        .emplace_back("token_weights", weights);
    if (options.positions == PairModelOptions::Positions::kLearned) {
      shared.emplace_back("position.weight",
                          draw.normal({sequence_limit(), d}, kPositionDeviation));
    }
    if (options.mode == PairModelOptions::Mode::kCross) {
      shared.emplace_back("segment.weight", draw.normal({2, d}, kPositionDeviation));
    }
    for (std::int64_t i = 0; i < options.layers; ++i) {
      add_norm(shared, layer_name(i) + ".norm1", d);
      add_linear(shared, draw, layer_name(i) + ".attention.qkv", d, 3 * d);
      add_linear(shared, draw, layer_name(i) + ".attention.out", d, d, kResidualScale);
      add_norm(shared, layer_name(i) + ".norm2", d);
      add_linear(shared, draw, layer_name(i) + ".ffn.in", d, options.ffn);
      add_linear(shared, draw, layer_name(i) + ".ffn.out", options.ffn, d, kResidualScale);
    }
    if (options.layers > 0) add_norm(shared, "norm", d);
    if (options.alignment == PairModelOptions::Alignment::kBoth) {
      shared.emplace_back("alignment.weight", torch::eye(d));
    }
    add_norm(shared, "features.norm", feature_width());
    if (options.hidden > 0) {
      add_linear(
          shared, draw, "trunk", feature_width() + alignment_width() + extra, options.hidden);
    }
    if (extra > 0) {
      parameters.fixed.emplace_back("extra.mean", torch::zeros({extra}));
      parameters.fixed.emplace_back("extra.deviation", torch::ones({extra}));
    }
    for (const TaskHead& head : heads) {
      NamedTensors own;
      const std::int64_t outputs =
          head.options.kind == HeadKind::kClasses ? head.options.classes : 1;
      add_linear(own, draw, "heads." + head.name, trunk_width(), outputs);
      parameters.heads.push_back(std::move(own));
    }
    for (auto& [name, tensor] : shared) tensor.set_requires_grad(true);
    for (auto& head : parameters.heads) {
      for (auto& [name, tensor] : head) tensor.set_requires_grad(true);
    }
    parameters.build_index();
  }

  // Longest sequence the encoder may see.
  std::int64_t sequence_limit() const {
    return options.mode == PairModelOptions::Mode::kCross ? 2 * options.max_length + 3
                                                          : options.max_length;
  }

  // ids [rows, width, unit] on the model's device, padded.
  at::Tensor pad(const std::vector<std::vector<std::int32_t>>& rows) const {
    const auto unit = static_cast<std::size_t>(vocabulary.ids_per_token);
    std::size_t longest = unit;
    for (const auto& row : rows) longest = std::max(longest, row.size());
    at::Tensor ids =
        torch::full({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(longest)},
                    vocabulary.pad,
                    torch::kInt64);
    auto* data = ids.data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const std::int32_t id : rows[i]) {
        DETENTE_CHECK(id >= 0 && id < vocabulary.size,
                      ErrorCode::kData,
                      "[nn::PairModel] token id {} is not in the vocabulary of {}; the text was "
                      "encoded with another tokenizer.",
                      id,
                      vocabulary.size);
        *data++ = id;
      }
      data += longest - rows[i].size();
    }
    return ids.view({ids.size(0), -1, vocabulary.ids_per_token}).to(float_options().device());
  }

  std::vector<std::int32_t> cut(std::span<const std::int32_t> ids) const {
    const auto limit = static_cast<std::size_t>(options.max_length * vocabulary.ids_per_token);
    return {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(limit, ids.size()))};
  }

  at::Tensor attention(const at::Tensor& x,
                       const at::Tensor& blocked,
                       const std::string& name) const {
    const std::int64_t rows = x.size(0);
    const std::int64_t length = x.size(1);
    const std::int64_t head_width = options.width / options.heads;
    const at::Tensor qkv = linear(x, name + ".attention.qkv")
                               .view({rows, length, 3, options.heads, head_width})
                               .permute({2, 0, 3, 1, 4});
    at::Tensor scores = torch::matmul(qkv[0] / std::sqrt(static_cast<double>(head_width)),
                                      qkv[1].transpose(-2, -1));
    constexpr double kNothing = -6e4;  // within the range of fp16; its exponential is 0
    scores = scores.masked_fill(blocked, kNothing);
    const at::Tensor mixed = torch::matmul(torch::softmax(scores, -1), qkv[2]);
    return linear(mixed.transpose(1, 2).reshape({rows, length, options.width}),
                  name + ".attention.out");
  }

  // ids [rows, n, unit]; segments [rows, n] or undefined.
  EncodedSide encode(const at::Tensor& ids, const at::Tensor& segments, Dropout& drop) const {
    // Trained weights may cross 0, where the means below would have no sense.
    const at::Tensor weights = options.learn_token_weights ? parameters("token_weights").abs()
                                                           : parameters("token_weights");
    const at::Tensor id_weights = weights.index_select(0, ids.reshape({-1})).view(ids.sizes());
    const at::Tensor vectors = torch::embedding(parameters("embedding.weight"), ids);
    // The floor goes under the root, whose slope at 0 is infinite: padding weighs 0.
    const at::Tensor scale = id_weights.square().sum(2, true).clamp_min(1e-6).sqrt();
    EncodedSide side;
    side.tokens = (vectors * id_weights.unsqueeze(-1)).sum(2) / scale;
    side.mask = ids.select(2, 0) != vocabulary.pad;
    if (drop.on() && options.token_dropout > 0) {
      at::Tensor keep = drop.mask(side.mask.sizes(),
                                  1.0 - options.token_dropout,
                                  at::TensorOptions().device(ids.device()).dtype(torch::kBool))
                            .logical_and(side.mask);
      // A sentence of which nothing is left keeps its first token.
      const at::Tensor none = keep.any(1).logical_not();
      keep.select(1, 0).logical_or_(none);
      side.mask = keep.logical_and(side.mask);
    }
    const at::Tensor real = side.mask.to(side.tokens.scalar_type());
    side.weight = (id_weights.mean(2) + kWeightFloor) * real;

    at::Tensor x = side.tokens;
    if (options.positions == PairModelOptions::Positions::kLearned) {
      x = x + parameters("position.weight").slice(0, 0, ids.size(1));
    }
    if (segments.defined()) x = x + torch::embedding(parameters("segment.weight"), segments);
    x = drop(x, options.embedding_dropout);
    const at::Tensor blocked = side.mask.logical_not().unsqueeze(1).unsqueeze(1);
    for (std::int64_t i = 0; i < options.layers; ++i) {
      const std::string name = layer_name(i);
      x = x + drop(attention(norm(x, name + ".norm1"), blocked, name), options.dropout);
      const at::Tensor inner = torch::gelu(linear(norm(x, name + ".norm2"), name + ".ffn.in"));
      x = x + drop(linear(inner, name + ".ffn.out"), options.dropout);
    }
    if (options.layers > 0) x = norm(x, "norm");
    side.outputs = x;
    // An empty sentence is the zero vector.
    side.pooled =
        (x * side.weight.unsqueeze(-1)).sum(1) / side.weight.sum(1, true).clamp_min(kWeightFloor);
    return side;
  }

  std::vector<at::Tensor> siamese_features(const PairBatch& batch,
                                           const std::vector<bool>& swapped,
                                           Dropout& drop) const {
    const auto count = static_cast<std::int64_t>(batch.rows());
    std::vector<std::vector<std::int32_t>> rows(2 * batch.rows());
    for (std::size_t i = 0; i < batch.rows(); ++i) {
      const bool swap = swapped[i];
      rows[i] = cut(swap ? batch.second[i] : batch.first[i]);
      rows[batch.rows() + i] = cut(swap ? batch.first[i] : batch.second[i]);
    }
    const EncodedSide both = encode(pad(rows), {}, drop);
    const EncodedSide a = both.rows(0, count);
    const EncodedSide b = both.rows(count, 2 * count);
    const at::Tensor& u = a.pooled;
    const at::Tensor& v = b.pooled;
    std::vector<at::Tensor> joined = {
        norm(torch::cat({u, v, (u - v).abs(), u * v}, 1), "features.norm")};
    if (options.alignment != PairModelOptions::Alignment::kNone) {
      joined.push_back(kAlignmentScale *
                       alignment_features(a.tokens, b.tokens, a.mask, b.mask, a.weight, b.weight));
    }
    if (options.alignment == PairModelOptions::Alignment::kBoth) {
      const at::Tensor& projection = parameters("alignment.weight");
      joined.push_back(kAlignmentScale *
                       alignment_features(torch::matmul(a.outputs, projection.t()),
                                          torch::matmul(b.outputs, projection.t()),
                                          a.mask,
                                          b.mask,
                                          a.weight,
                                          b.weight));
    }
    return joined;
  }

  std::vector<at::Tensor> cross_features(const PairBatch& batch, Dropout& drop) const {
    const auto unit = static_cast<std::size_t>(vocabulary.ids_per_token);
    std::vector<std::vector<std::int32_t>> rows(batch.rows());
    std::vector<std::size_t> first_lengths(batch.rows());
    for (std::size_t i = 0; i < batch.rows(); ++i) {
      auto& row = rows[i];
      const auto append = [&](const std::vector<std::int32_t>& ids) {
        row.insert(row.end(), ids.begin(), ids.end());
      };
      row.assign(unit, vocabulary.cls);
      append(cut(batch.first[i]));
      row.insert(row.end(), unit, vocabulary.sep);
      first_lengths[i] = row.size() / unit;
      append(cut(batch.second[i]));
      row.insert(row.end(), unit, vocabulary.sep);
    }
    const at::Tensor ids = pad(rows);
    at::Tensor segments = torch::ones({ids.size(0), ids.size(1)}, torch::kInt64);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      segments[static_cast<std::int64_t>(i)]
          .slice(0, 0, static_cast<std::int64_t>(first_lengths[i]))
          .zero_();
    }
    const EncodedSide side = encode(ids, segments.to(ids.device()), drop);
    return {norm(side.pooled, "features.norm")};
  }

  at::Tensor features(const PairBatch& batch,
                      const std::vector<bool>& swapped,
                      Dropout& drop) const {
    DETENTE_CHECK(batch.rows() > 0 && batch.second.size() == batch.rows(),
                  ErrorCode::kShape,
                  "[nn::PairModel] a batch needs at least one pair and as many second as first "
                  "sentences; got {} and {}.",
                  batch.first.size(),
                  batch.second.size());
    DETENTE_CHECK(batch.extra.size() == batch.rows() * static_cast<std::size_t>(extra),
                  ErrorCode::kShape,
                  "[nn::PairModel] expected {} extra numbers for {} pairs, got {}.",
                  batch.rows() * static_cast<std::size_t>(extra),
                  batch.rows(),
                  batch.extra.size());
    std::vector<at::Tensor> joined = options.mode == PairModelOptions::Mode::kCross
                                         ? cross_features(batch, drop)
                                         : siamese_features(batch, swapped, drop);
    if (extra > 0) {
      const at::Tensor numbers = torch::tensor(at::ArrayRef<float>(batch.extra))
                                     .view({static_cast<std::int64_t>(batch.rows()), extra})
                                     .to(float_options());
      joined.push_back((numbers - parameters("extra.mean")) / parameters("extra.deviation"));
    }
    const at::Tensor all = joined.size() == 1 ? joined.front() : torch::cat(joined, 1);
    if (options.hidden == 0) return drop(all, options.dropout);
    return drop(torch::gelu(linear(all, "trunk")), options.dropout);
  }

  TensorList outputs(const at::Tensor& features) const {
    TensorList predictions;
    for (const TaskHead& head : heads) {
      at::Tensor y = linear(features, "heads." + head.name);
      const HeadOptions& o = head.options;
      if (o.kind != HeadKind::kClasses) y = y.squeeze(1);
      if (o.kind == HeadKind::kRegression && o.output != HeadOptions::Output::kRaw) {
        if (o.output == HeadOptions::Output::kSigmoid) y = torch::sigmoid(y);
        y = o.low + (o.high - o.low) * y;
      }
      predictions.push_back(std::move(y));
    }
    return predictions;
  }

  at::Tensor& named(const std::string& name) {
    for (NamedTensors* list : {&parameters.shared, &parameters.fixed}) {
      for (auto& [key, tensor] : *list) {
        if (key == name) return tensor;
      }
    }
    fail(ErrorCode::kInternal, "[nn::PairModel] there is no tensor '{}'.", name);
  }

  void assign(const std::string& name, std::span<const double> values) {
    const torch::NoGradGuard no_grad;
    at::Tensor& target = named(name);
    const at::Tensor source =
        torch::tensor(at::ArrayRef<double>(values.data(), values.size()), torch::kFloat64);
    target.copy_(source.view(target.sizes()));
  }
};

PairModel::PairModel(const PairModelOptions& options,
                     const Vocabulary& vocabulary,
                     std::vector<TaskHead> heads,
                     std::uint64_t seed,
                     std::int64_t extra_features)
    : impl_(std::make_unique<Impl>()) {
  options.validate();
  for (const TaskHead& head : heads) head.options.validate();
  DETENTE_CHECK(vocabulary.size > 0 && vocabulary.ids_per_token > 0 && vocabulary.pad >= 0 &&
                    vocabulary.pad < vocabulary.size,
                ErrorCode::kInvalidArgument,
                "[nn::PairModel] the vocabulary has {} ids, {} per token, padding {}; expected at "
                "least one of each and a padding id among them.",
                vocabulary.size,
                vocabulary.ids_per_token,
                vocabulary.pad);
  impl_->options = options;
  impl_->vocabulary = vocabulary;
  impl_->heads = std::move(heads);
  impl_->extra = extra_features;
  impl_->make_parameters(seed);
}

PairModel::~PairModel() = default;
PairModel::PairModel(PairModel&&) noexcept = default;
PairModel& PairModel::operator=(PairModel&&) noexcept = default;

at::Tensor PairModel::features(const PairBatch& batch, Rng* dropout) const {
  std::vector<bool> swapped(batch.rows(), false);
  if (dropout != nullptr && impl_->options.symmetric) {
    for (std::size_t i = 0; i < swapped.size(); ++i) swapped[i] = (*dropout)() >> 63U != 0;
  }
  Dropout drop(dropout);
  return impl_->features(batch, swapped, drop);
}

TensorList PairModel::forward(const PairBatch& batch, Rng* dropout) const {
  return impl_->outputs(features(batch, dropout));
}

std::vector<Matrix> PairModel::predict(const PairBatch& batch) const {
  const torch::NoGradGuard no_grad;
  Dropout off(nullptr);
  const bool both_orders =
      impl_->options.symmetric && impl_->options.mode == PairModelOptions::Mode::kSiamese;
  TensorList predictions =
      impl_->outputs(impl_->features(batch, std::vector<bool>(batch.rows(), false), off));
  if (both_orders) {
    const TensorList reversed =
        impl_->outputs(impl_->features(batch, std::vector<bool>(batch.rows(), true), off));
    for (std::size_t k = 0; k < predictions.size(); ++k) {
      predictions[k] = 0.5 * (predictions[k] + reversed[k]);
    }
  }
  std::vector<Matrix> results;
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    at::Tensor y = predictions[k];
    switch (impl_->heads[k].options.kind) {
      case HeadKind::kRegression:
        break;
      case HeadKind::kBinary:
        y = torch::sigmoid(y);
        break;
      case HeadKind::kClasses:
        y = torch::softmax(y, 1);
        break;
    }
    y = y.to(torch::kCPU, torch::kFloat64).contiguous();
    Matrix result(batch.rows(), y.dim() == 1 ? 1 : static_cast<std::size_t>(y.size(1)));
    std::copy_n(y.data_ptr<double>(), y.numel(), result.data());
    results.push_back(std::move(result));
  }
  return results;
}

const std::vector<TaskHead>& PairModel::heads() const { return impl_->heads; }
const PairModelOptions& PairModel::options() const { return impl_->options; }

namespace {

TensorList pair_tensors(const NamedTensors& named) {
  TensorList tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

std::vector<std::string> pair_names(const NamedTensors& named) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named) names.push_back(name);
  return names;
}

}  // namespace

TensorList PairModel::shared_parameters() const { return pair_tensors(impl_->parameters.shared); }
TensorList PairModel::head_parameters(std::size_t head) const {
  return pair_tensors(impl_->parameters.heads.at(head));
}
std::vector<std::string> PairModel::shared_names() const {
  return pair_names(impl_->parameters.shared);
}
std::vector<std::string> PairModel::head_names(std::size_t head) const {
  return pair_names(impl_->parameters.heads.at(head));
}

std::int64_t PairModel::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : impl_->parameters.shared) count += tensor.numel();
  for (const auto& head : impl_->parameters.heads) {
    for (const auto& [name, tensor] : head) count += tensor.numel();
  }
  return count;
}

NamedTensors PairModel::state() const {
  NamedTensors state;
  const auto add = [&](const NamedTensors& list) {
    for (const auto& [name, tensor] : list) state.emplace_back(name, tensor.detach());
  };
  add(impl_->parameters.shared);
  for (const auto& head : impl_->parameters.heads) add(head);
  add(impl_->parameters.fixed);
  return state;
}

void PairModel::load_state(const NamedTensors& state) {
  const NamedTensors own = this->state();
  for (const auto& [name, tensor] : state) {
    const auto known = std::find_if(
        own.begin(), own.end(), [&](const auto& entry) { return entry.first == name; });
    DETENTE_CHECK(known != own.end(),
                  ErrorCode::kData,
                  "[nn::PairModel] the file holds '{}', which this model does not have; it belongs "
                  "to another recipe.",
                  name);
    DETENTE_CHECK(known->second.sizes() == tensor.sizes(),
                  ErrorCode::kData,
                  "[nn::PairModel] '{}' has another shape in the file ({} numbers) than in this "
                  "model ({}); it belongs to another recipe.",
                  name,
                  tensor.numel(),
                  known->second.numel());
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, target] : own) {
    const auto found = std::find_if(
        state.begin(), state.end(), [&](const auto& entry) { return entry.first == name; });
    DETENTE_CHECK(found != state.end(),
                  ErrorCode::kData,
                  "[nn::PairModel] the file has no '{}'; it is damaged or belongs to another "
                  "recipe.",
                  name);
    at::Tensor writable = target;
    writable.copy_(found->second);
  }
}

void PairModel::set_embedding(MatrixView table) {
  const std::int64_t width = impl_->options.width;
  DETENTE_CHECK(static_cast<std::int64_t>(table.rows) == impl_->vocabulary.size &&
                    static_cast<std::int64_t>(table.cols) == width,
                ErrorCode::kShape,
                "[nn::PairModel] the embedding table must be {}x{}; got {}x{}.",
                impl_->vocabulary.size,
                width,
                table.rows,
                table.cols);
  impl_->assign("embedding.weight", {table.data, table.rows * table.cols});
  const torch::NoGradGuard no_grad;
  impl_->named("embedding.weight")[impl_->vocabulary.pad].zero_();
}

void PairModel::set_token_weights(std::span<const double> weights) {
  DETENTE_CHECK(static_cast<std::int64_t>(weights.size()) == impl_->vocabulary.size,
                ErrorCode::kShape,
                "[nn::PairModel] expected {} token weights, got {}.",
                impl_->vocabulary.size,
                weights.size());
  DETENTE_CHECK(std::all_of(weights.begin(), weights.end(), [](double w) { return w >= 0; }) &&
                    std::any_of(weights.begin(), weights.end(), [](double w) { return w > 0; }),
                ErrorCode::kInvalidArgument,
                "[nn::PairModel] token weights must be >= 0 and not all zero.");
  impl_->assign("token_weights", weights);
  const torch::NoGradGuard no_grad;
  impl_->named("token_weights")[impl_->vocabulary.pad] = 0;
}

void PairModel::set_extra_scale(std::span<const double> means, std::span<const double> deviations) {
  const auto extra = static_cast<std::size_t>(impl_->extra);
  DETENTE_CHECK(means.size() == extra && deviations.size() == extra,
                ErrorCode::kShape,
                "[nn::PairModel] expected {} means and deviations, got {} and {}.",
                extra,
                means.size(),
                deviations.size());
  if (extra == 0) return;
  std::vector<double> positive(deviations.begin(), deviations.end());
  for (double& value : positive) value = value > 0 ? value : 1.0;
  impl_->assign("extra.mean", means);
  impl_->assign("extra.deviation", positive);
}

void PairModel::set_initial_prediction(std::size_t head, double value) {
  const HeadOptions& options = impl_->heads.at(head).options;
  double bias = value;
  if (options.kind == HeadKind::kClasses) return;
  if (options.kind == HeadKind::kRegression && options.output != HeadOptions::Output::kRaw) {
    bias = (value - options.low) / (options.high - options.low);
  }
  if (options.kind == HeadKind::kBinary || options.output == HeadOptions::Output::kSigmoid) {
    const double share = std::clamp(bias, 0.01, 0.99);
    bias = std::log(share / (1.0 - share));
  }
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : impl_->parameters.heads[head]) {
    if (name.ends_with(".bias")) tensor.fill_(bias);
  }
}

void PairModel::to(tensor::Device device, tensor::DType dtype) {
  const torch::NoGradGuard no_grad;
  const at::TensorOptions target = tensor::tensor_options(device, dtype);
  const auto move = [&](NamedTensors& list, bool trained) {
    for (auto& [name, tensor] : list) {
      tensor = tensor.detach().to(target).set_requires_grad(trained);
    }
  };
  move(impl_->parameters.shared, true);
  for (auto& head : impl_->parameters.heads) move(head, true);
  move(impl_->parameters.fixed, false);
  impl_->parameters.build_index();
}

}  // namespace detente::nn
