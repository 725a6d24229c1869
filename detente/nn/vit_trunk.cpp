// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/attention.h>
#include <detente/nn/vit_trunk.h>
#include <torch/types.h>

#include <cmath>
#include <string>

namespace detente::nn {
namespace {

// As published.
constexpr double kVitEpsilon = 1e-6;
constexpr double kVitDeviation = 0.02;

// Of query, key and value, [3, B, heads, n, width].
at::Tensor scaled_query(const at::Tensor& parts) {
  return parts.select(0, 0) / std::sqrt(static_cast<double>(parts.size(-1)));
}

std::string vit_block(std::int64_t i) { return "blocks." + std::to_string(i) + "."; }

}  // namespace

void VitTrunk::describe(FieldVisitor& model) {
  model.integer("patch",
                patch_,
                {.min = 1, .max = 4096},
                "Side of a patch in pixels; divides both sides of the images.");
  model.integer("width", width_, {.min = 1, .max = 1e5}, "Numbers per patch.");
  model.integer("layers", layers_, {.min = 1, .max = 1000}, "Layers of the encoder.");
  model.integer("heads", heads_, {.min = 1, .max = 1e4}, "Attention heads; divide width.");
  model.integer("ffn", ffn_, {.min = 1, .max = 1e6}, "Width of the layers' inner part.");
  model.choice("pooling",
               pooling_,
               {{"cls", Pooling::kCls}, {"mean", Pooling::kMean}},
               "An image's vector: that of a token of its own, or the mean over the patches.");
  model.number("dropout",
               dropout_,
               {.min = 0, .max = 1, .max_open = true},
               "Share of activations dropped after embeddings, attention and inner layers.");
}

void VitTrunk::validate() const {
  DETENTE_CHECK(width_ % heads_ == 0,
                ErrorCode::kInvalidArgument,
                "[nn::VitTrunk] 'heads' is {}, which does not divide 'width' {}.",
                heads_,
                width_);
}

void VitTrunk::build(const data::ImageShape& shape, Draw& draw) {
  validate();
  const auto height = static_cast<std::int64_t>(shape.height);
  const auto width = static_cast<std::int64_t>(shape.width);
  DETENTE_CHECK(
      height % patch_ == 0 && width % patch_ == 0,
      ErrorCode::kInvalidArgument,
      "[nn::VitTrunk] images of {} x {} pixels are not whole patches of {} x {}; expected "
      "a 'patch' that divides both sides (model.patch), or other sides (data.size).",
      height,
      width,
      patch_,
      patch_);
  shape_ = shape;
  parameters_ = Parameters();
  const auto add_dense = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    parameters_.add(name + ".weight", draw.normal({out, in}, kVitDeviation));
    parameters_.add(name + ".bias", torch::zeros({out}));
  };
  const auto channels = static_cast<std::int64_t>(shape.channels);
  const bool token = pooling_ == Pooling::kCls;
  const std::int64_t tokens = height / patch_ * (width / patch_) + (token ? 1 : 0);
  if (token) parameters_.add("cls_token", draw.normal({1, 1, width_}, kVitDeviation));
  parameters_.add("pos_embed", draw.normal({1, tokens, width_}, kVitDeviation));
  const auto fan_in = static_cast<double>(channels * patch_ * patch_);
  parameters_.add("patch_embed.proj.weight",
                  draw.normal({width_, channels, patch_, patch_}, 1 / std::sqrt(fan_in)));
  parameters_.add("patch_embed.proj.bias", torch::zeros({width_}));
  for (std::int64_t i = 0; i < layers_; ++i) {
    const std::string name = vit_block(i);
    parameters_.add_norm(name + "norm1", width_);
    add_dense(name + "attn.qkv", width_, 3 * width_);
    add_dense(name + "attn.proj", width_, width_);
    parameters_.add_norm(name + "norm2", width_);
    add_dense(name + "mlp.fc1", width_, ffn_);
    add_dense(name + "mlp.fc2", ffn_, width_);
  }
  parameters_.add_norm("norm", width_);
}

at::Tensor VitTrunk::norm(const at::Tensor& x, const std::string& name) const {
  return torch::layer_norm(
      x, {width_}, parameters_(name + ".weight"), parameters_(name + ".bias"), kVitEpsilon);
}

at::Tensor VitTrunk::attention_parts(const at::Tensor& x, const std::string& name) const {
  return parameters_.linear(x, name + "qkv")
      .unflatten(2, {3, heads_, width_ / heads_})
      .permute({2, 0, 3, 1, 4});  // [3, B, heads, n, width]
}

at::Tensor VitTrunk::attention(const at::Tensor& x, const std::string& name) const {
  const at::Tensor parts = attention_parts(x, name);
  return parameters_.linear(attend(scaled_query(parts), parts.select(0, 1), parts.select(0, 2), {}),
                            name + "proj");
}

bool VitTrunk::takes_sides(std::int64_t height, std::int64_t width) const {
  return height >= patch_ && width >= patch_ && height % patch_ == 0 && width % patch_ == 0;
}

at::Tensor VitTrunk::positions(std::int64_t rows, std::int64_t columns) const {
  const at::Tensor& own = parameters_("pos_embed");
  const auto own_rows = static_cast<std::int64_t>(shape_.height) / patch_;
  const auto own_columns = static_cast<std::int64_t>(shape_.width) / patch_;
  if (rows == own_rows && columns == own_columns) return own;
  const std::int64_t tokens = pooling_ == Pooling::kCls ? 1 : 0;
  const at::Tensor grid =
      own.slice(1, tokens).reshape({1, own_rows, own_columns, width_}).permute({0, 3, 1, 2});
  const at::Tensor between = at::upsample_bicubic2d(grid, {rows, columns}, /*align_corners=*/false)
                                 .permute({0, 2, 3, 1})
                                 .reshape({1, rows * columns, width_});
  return tokens == 0 ? between : torch::cat({own.slice(1, 0, tokens), between}, 1);
}

// The class token and the positions are sums with parameters, which the engine reads per task as it does
// the layers; an expanded parameter would cost it a pass per task.
at::Tensor VitTrunk::embedded(const at::Tensor& images, Dropout& drop) const {
  at::Tensor x = torch::conv2d(images,
                               parameters_("patch_embed.proj.weight"),
                               parameters_("patch_embed.proj.bias"),
                               /*stride=*/patch_);
  const at::Tensor places = positions(x.size(2), x.size(3));
  x = x.flatten(2).transpose(1, 2);
  if (has_token()) {
    const at::Tensor token = torch::zeros_like(x.slice(1, 0, 1)) + parameters_("cls_token");
    x = torch::cat({token, x}, 1);
  }
  return drop(x + places, dropout_);
}

at::Tensor VitTrunk::layer(at::Tensor x, std::int64_t i, Dropout& drop) const {
  const std::string name = vit_block(i);
  x = x + drop(attention(norm(x, name + "norm1"), name + "attn."), dropout_);
  const at::Tensor inner =
      drop(torch::gelu(parameters_.linear(norm(x, name + "norm2"), name + "mlp.fc1")), dropout_);
  return x + drop(parameters_.linear(inner, name + "mlp.fc2"), dropout_);
}

at::Tensor VitTrunk::forward(at::Tensor x, Dropout& drop, BatchStatistics /*statistics*/) const {
  x = embedded(x, drop);
  for (std::int64_t i = 0; i < layers_; ++i) x = layer(x, i, drop);
  x = norm(x, "norm");
  return has_token() ? x.select(1, 0) : x.mean(1);
}

at::Tensor VitTrunk::attention_of(const data::Batch& images) const {
  DETENTE_CHECK(has_token() && frames_ == 0,
                ErrorCode::kUnsupported,
                "[nn::VitTrunk] there is no attention of a class token {}; expected images and "
                "pooling: cls.",
                has_token() ? "of clips" : "with pooling: mean");
  const torch::NoGradGuard no_grad;
  const at::Tensor pixels = images_of(images);
  Dropout off(nullptr);
  at::Tensor x = embedded(pixels, off);
  for (std::int64_t i = 0; i + 1 < layers_; ++i) x = layer(x, i, off);
  const std::string last = vit_block(layers_ - 1);
  const at::Tensor parts = attention_parts(norm(x, last + "norm1"), last + "attn.");
  // Of the class token alone, [B, heads, tokens].
  const at::Tensor looks =
      scaled_query(parts).slice(2, 0, 1).matmul(parts.select(0, 1).transpose(2, 3)).softmax(-1);
  return looks.squeeze(2).slice(2, 1).unflatten(2, {pixels.size(2) / patch_, -1});
}

}  // namespace detente::nn
