// SPDX-License-Identifier: Apache-2.0
// What trunks for images (data/image_source.h) have in common: all but the layers.
#pragma once

#include <detente/data/image.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/trunk.h>

namespace detente::nn {

class ImageTrunk : public Trunk {
 public:
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  // kShape for images of another size.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  // "image" [B, C, H, W] float32 with values as in a picture, 0 to 255.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source.
  virtual void build(const data::ImageShape& shape, Draw& draw) = 0;

 protected:
  // From standardised images [B, C, H, W] of the shape that build was given.
  virtual at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const = 0;

  data::ImageShape shape_;

 private:
  mutable BatchStatisticsRule statistics_;
};

}  // namespace detente::nn
