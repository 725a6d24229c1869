// SPDX-License-Identifier: Apache-2.0
// A vision transformer (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929) from scratch, for images and
// whatever else ImageTrunk makes images of.
//
//   x = [class token, W patch_1 + b, W patch_2 + b, ...] + positions
//   x = x + attention(norm(x));  x = x + mlp(norm(x))      `layers` times (pre-norm)
//   features = norm(x), of the class token or the mean over the patches
//
// Patches are squares of `patch` pixels, row by row. Parameters have the names and shapes of timm's
// vit_*_patch*: cls_token, pos_embed, patch_embed.proj, blocks.<i>.{norm1, attn.qkv, attn.proj, norm2,
// mlp.fc1, mlp.fc2}, norm. With pooling: mean there is no class token.
#pragma once

#include <detente/nn/image_trunk.h>

#include <cstdint>
#include <memory>
#include <string>

namespace detente::nn {

class VitTrunk final : public ImageTrunk {
 public:
  enum class Pooling { kCls, kMean };

  const char* kind() const override { return "vit"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<VitTrunk>(*this); }
  std::int64_t width() const override { return width_; }

  using ImageTrunk::build;
  // kInvalidArgument for images that are not whole patches.
  void build(const data::ImageShape& shape, Draw& draw) override;

  // Whether there is a class token, whose attention attention_of() is.
  bool has_token() const { return pooling_ == Pooling::kCls; }
  // What the class token looks at in the last layer: [B, heads, rows, columns] of patches, >= 0,
  // without a graph. A head's numbers and what it gives to the class token itself sum to one.
  // Images as features() takes them. Throws kUnsupported without a class token and for clips,
  // kShape as features().
  at::Tensor attention_of(const data::Batch& images) const;

  // Whole patches; the positions are interpolated.
  bool takes_sides(std::int64_t height, std::int64_t width) const override;

 protected:
  at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const override;

 private:
  // Of a grid of so many patches: those of the parameters or, bicubically, between them.
  at::Tensor positions(std::int64_t rows, std::int64_t columns) const;
  // Patches (with the class token, where there is one) and their places, [B, tokens, width].
  at::Tensor embedded(const at::Tensor& images, Dropout& drop) const;
  at::Tensor layer(at::Tensor x, std::int64_t i, Dropout& drop) const;
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  // Query, key and value: [3, B, heads, tokens, width of a head].
  at::Tensor attention_parts(const at::Tensor& x, const std::string& name) const;
  at::Tensor attention(const at::Tensor& x, const std::string& name) const;

  std::int64_t patch_ = 4;
  std::int64_t width_ = 192;
  std::int64_t layers_ = 6;
  std::int64_t heads_ = 3;
  std::int64_t ffn_ = 768;
  Pooling pooling_ = Pooling::kCls;
  double dropout_ = 0.1;
};

}  // namespace detente::nn
