// SPDX-License-Identifier: Apache-2.0
// A small U-Net (Ronneberger et al. 2015): the light trunk for images with maps.
//
//   x_l = two(pool₂(x_{l−1}))                     l = 1, ..., x_0 = two(image)
//   y_l = two([x_l, up(y_{l+1})])                 up: bilinear to the size of x_l; the deepest y is its x
//   features = y_0
//
// two: twice a 3×3 convolution, a normalisation and relu, to channels[l].
#pragma once

#include <detente/nn/dense_trunk.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace detente::nn {

class UNetTrunk final : public DenseTrunk {
 public:
  const char* kind() const override { return "unet"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<UNetTrunk>(*this); }
  std::int64_t width() const override { return static_cast<std::int64_t>(channels_.front()); }

 protected:
  void add_layers(Draw& draw) override;
  TensorList forward(const at::Tensor& images, BatchStatistics statistics) const override;
  std::int64_t smallest_side() const override { return std::int64_t{1} << (channels_.size() - 1); }

 private:
  void add_two(Draw& draw, const std::string& name, std::int64_t in, std::int64_t out);
  at::Tensor two(at::Tensor x, const std::string& name, BatchStatistics statistics) const;

  std::vector<double> channels_ = {16, 32, 64, 64};  // whole numbers
  ImageNorm norm_ = ImageNorm::kGroup;
};

}  // namespace detente::nn
