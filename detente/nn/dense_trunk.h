// SPDX-License-Identifier: Apache-2.0
// What trunks for images with maps (data/dense_source.h) have in common: all but the layers.
#pragma once

#include <detente/data/dense_file.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/trunk.h>

#include <cstdint>

namespace detente::nn {

class DenseTrunk : public Trunk {
 public:
  bool maps() const override { return true; }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  // [B, width, H, W]; kShape for images of another size. Trunks with features for each task
  // (per_task) give those of the first.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  TensorList task_features(const data::Batch& batch, Rng* random = nullptr) const override;
  // "image" [B, C, H, W] float32, in the data's own numbers.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source. kInvalidArgument for images that are too small.
  void build(const data::DenseShape& shape, Draw& draw);

 protected:
  virtual void add_layers(Draw& draw) = 0;
  // From images [B, C, H, W] of the shape: one map of features, or one for each task.
  virtual TensorList forward(const at::Tensor& images, BatchStatistics statistics) const = 0;
  // What both sides of an image have to be.
  virtual std::int64_t smallest_side() const = 0;

  data::DenseShape shape_;

 private:
  mutable BatchStatisticsRule statistics_;
};

}  // namespace detente::nn
