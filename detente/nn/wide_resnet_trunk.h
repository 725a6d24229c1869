// SPDX-License-Identifier: Apache-2.0
// A wide residual network (nn/wide_resnet.h) as the trunk for images (data/image_source.h), from
// scratch.
#pragma once

#include <detente/nn/image_trunk.h>
#include <detente/nn/wide_resnet.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class WideResNetTrunk final : public ImageTrunk {
 public:
  const char* kind() const override { return "wide_resnet"; }
  void describe(FieldVisitor& model) override;
  void validate() const override { check_wide_resnet(options_); }
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<WideResNetTrunk>(*this); }
  std::int64_t width() const override { return wide_resnet_width(options_); }

  void build(const data::ImageShape& shape, Draw& draw) override;

  // The mean over the last grid is a vector for grids of any size.
  bool takes_sides(std::int64_t height, std::int64_t width) const override {
    return height >= 8 && width >= 8;
  }

 protected:
  at::Tensor forward(at::Tensor x, Dropout& drop, BatchStatistics statistics) const override;

 private:
  WideResNetOptions options_;
  double dropout_ = 0;
};

}  // namespace detente::nn
