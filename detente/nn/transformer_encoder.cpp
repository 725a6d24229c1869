// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/nn/attention.h>
#include <detente/nn/transformer_encoder.h>
#include <detente/tensor/safetensors.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <utility>

namespace detente::nn {
namespace {

// As in published models.
constexpr double kTransformerEps = 1e-12;
constexpr double kTransformerDeviation = 0.02;

std::string block_name(std::int64_t i) { return "encoder.layer." + std::to_string(i); }

std::int64_t config_number(const Json& config, const char* key, const std::string& file) {
  DETENTE_CHECK(
      config.contains(key) && config[key].is_number_integer() && config[key] > 0,
      ErrorCode::kData,
      "[nn::TransformerShape] '{}' has no '{}'; expected the configuration of a BERT model, "
      "with a whole number above 0 there.",
      file,
      key);
  return config[key].get<std::int64_t>();
}

void config_word(const Json& config, const char* key, const char* word, const std::string& file) {
  const std::string found = config.value(key, word);
  DETENTE_CHECK(
      found == word,
      ErrorCode::kData,
      "[nn::TransformerShape] '{}' says {}: '{}'; expected '{}', the only one that is read.",
      file,
      key,
      found,
      word);
}

}  // namespace

TransformerShape TransformerShape::read(const std::filesystem::path& folder) {
  const std::string file = (folder / "config.json").string();
  const Json config = Json::parse(read_file(file), nullptr, false);
  DETENTE_CHECK(
      config.is_object(),
      ErrorCode::kData,
      "[nn::TransformerShape] '{}' is not JSON; expected the configuration of a BERT model.",
      file);
  config_word(config, "model_type", "bert", file);
  config_word(config, "hidden_act", "gelu", file);
  config_word(config, "position_embedding_type", "absolute", file);
  return {config_number(config, "hidden_size", file),
          config_number(config, "num_hidden_layers", file),
          config_number(config, "num_attention_heads", file),
          config_number(config, "intermediate_size", file),
          config_number(config, "max_position_embeddings", file),
          config_number(config, "type_vocab_size", file)};
}

void TransformerEncoder::add_parameters(const TransformerShape& shape,
                                        std::int64_t vocabulary,
                                        std::int64_t frozen,
                                        Draw& draw,
                                        Parameters& parameters) {
  const std::int64_t d = shape.width;
  const auto add = [&](const std::string& name, const at::Tensor& value) {
    if (depth(shape, name) < frozen) {
      parameters.add_fixed(name, value);
    } else {
      parameters.add(name, value);
    }
  };
  const auto add_dense = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    add(name + ".weight", draw.normal({out, in}, kTransformerDeviation));
    add(name + ".bias", torch::zeros({out}));
  };
  const auto add_unit = [&](const std::string& name) {
    add(name + ".weight", torch::ones({d}));
    add(name + ".bias", torch::zeros({d}));
  };
  const auto table = [&](const char* name, std::int64_t rows) {
    add(std::string("embeddings.") + name + "_embeddings.weight",
        draw.normal({rows, d}, kTransformerDeviation));
  };
  table("word", vocabulary);
  table("position", shape.positions);
  table("token_type", shape.segments);
  add_unit("embeddings.LayerNorm");
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    const std::string name = block_name(i);
    for (const char* part : {"query", "key", "value"}) {
      add_dense(name + ".attention.self." + part, d, d);
    }
    add_dense(name + ".attention.output.dense", d, d);
    add_unit(name + ".attention.output.LayerNorm");
    add_dense(name + ".intermediate.dense", d, shape.ffn);
    add_dense(name + ".output.dense", shape.ffn, d);
    add_unit(name + ".output.LayerNorm");
  }
}

std::int64_t TransformerEncoder::depth(const TransformerShape& shape,
                                       const std::string& parameter) {
  if (parameter.starts_with("embeddings.")) return 0;
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    if (parameter.starts_with(block_name(i) + ".")) return i + 1;
  }
  return shape.layers + 1;
}

at::Tensor TransformerEncoder::norm(const at::Tensor& x, const std::string& name) const {
  return torch::layer_norm(x,
                           {shape_.width},
                           parameters_(name + ".weight"),
                           parameters_(name + ".bias"),
                           kTransformerEps);
}

at::Tensor TransformerEncoder::attention(const at::Tensor& x,
                                         const at::Tensor& blocked,
                                         const std::string& name) const {
  const std::int64_t width = shape_.width / shape_.heads;
  const auto part = [&](const char* which) {
    return parameters_.linear(x, name + ".attention.self." + which)
        .unflatten(2, {shape_.heads, width})
        .transpose(1, 2);
  };
  const at::Tensor query = part("query") / std::sqrt(static_cast<double>(width));
  const at::Tensor key = part("key");
  const at::Tensor value = part("value");
  return parameters_.linear(attend(query, key, value, blocked), name + ".attention.output.dense");
}

at::Tensor TransformerEncoder::operator()(const at::Tensor& ids,
                                          const at::Tensor& real,
                                          const at::Tensor& segments,
                                          Dropout& drop,
                                          double dropout) const {
  const at::Tensor zeros = torch::zeros_like(ids);
  const auto table = [&](const char* name) {
    return parameters_(std::string("embeddings.") + name + "_embeddings.weight");
  };
  at::Tensor x = torch::embedding(table("word"), ids) +
                 torch::embedding(table("token_type"), segments.defined() ? segments : zeros) +
                 torch::embedding(table("position"), token_places(ids));
  x = drop(norm(x, "embeddings.LayerNorm"), dropout);
  const at::Tensor blocked = real.logical_not().unsqueeze(1).unsqueeze(1);
  for (std::int64_t i = 0; i < shape_.layers; ++i) {
    const std::string name = block_name(i);
    x = norm(x + drop(attention(x, blocked, name), dropout), name + ".attention.output.LayerNorm");
    const at::Tensor inner = torch::gelu(parameters_.linear(x, name + ".intermediate.dense"));
    x = norm(x + drop(parameters_.linear(inner, name + ".output.dense"), dropout),
             name + ".output.LayerNorm");
  }
  return x;
}

void load_published(const std::filesystem::path& folder, Parameters& parameters) {
  const std::string file = (folder / "model.safetensors").string();
  const NamedTensors published = tensor::read_safetensors(file);
  const auto find = [&](const std::string& name) -> const at::Tensor* {
    for (const auto& [key, tensor] : published) {
      if (key == name || key == "bert." + name) return &tensor;
    }
    return nullptr;
  };
  const torch::NoGradGuard no_grad;
  const auto take = [&](const NamedTensors& own) {
    for (const auto& [name, tensor] : own) {
      if (!name.starts_with("embeddings.") && !name.starts_with("encoder.")) continue;
      const at::Tensor* found = find(name);
      DETENTE_CHECK(
          found != nullptr,
          ErrorCode::kData,
          "[nn::load_published] '{}' has no '{}'; expected the parameters of a BERT model "
          "under their published names.",
          file,
          name);
      DETENTE_CHECK(found->sizes() == tensor.sizes(),
                    ErrorCode::kData,
                    "[nn::load_published] '{}' holds '{}' with {} numbers where this model has {}. "
                    "{}",
                    file,
                    name,
                    found->numel(),
                    tensor.numel(),
                    name == "embeddings.word_embeddings.weight"
                        ? "Is tokenizer.vocab the vocab.txt of the same folder?"
                        : "Does config.json belong to it?");
      at::Tensor own_tensor = tensor;
      own_tensor.copy_(*found);
    }
  };
  take(parameters.trained());
  take(parameters.fixed());
}

}  // namespace detente::nn
