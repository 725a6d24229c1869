// SPDX-License-Identifier: Apache-2.0
// A residual network (nn/resnet.h) as the trunk for images (data/image_source.h), from scratch.
#pragma once

#include <detente/data/image.h>
#include <detente/nn/resnet.h>
#include <detente/nn/trunk.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class ResNetTrunk final : public Trunk {
 public:
  const char* kind() const override { return "resnet"; }
  void describe(FieldVisitor& model) override;
  void validate() const override { check_resnet(options_); }
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<ResNetTrunk>(*this); }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  std::int64_t width() const override { return resnet_width(options_); }
  // kShape for images of another size.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source.
  void build(const data::ImageShape& shape, Draw& draw);

 private:
  at::Tensor forward(const at::Tensor& images, Dropout& drop, BatchStatistics statistics) const;

  ResNetOptions options_;
  double dropout_ = 0;

  data::ImageShape shape_;
  mutable BatchStatisticsRule statistics_;
};

}  // namespace detente::nn
