// SPDX-License-Identifier: Apache-2.0
// SegNet (nn/segnet.h) as a trunk: all tasks share all of it but the heads ("split").
#pragma once

#include <detente/nn/dense_trunk.h>
#include <detente/nn/segnet.h>

#include <cstdint>
#include <memory>

namespace detente::nn {

class SegNetTrunk : public DenseTrunk {
 public:
  const char* kind() const override { return "segnet"; }
  void describe(FieldVisitor& model) override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<SegNetTrunk>(*this); }
  std::int64_t width() const override { return options_.width; }

 protected:
  void add_layers(Draw& draw) override;
  TensorList forward(const at::Tensor& images, BatchStatistics statistics) const override;
  std::int64_t smallest_side() const override { return std::int64_t{1} << kSegNetStages; }
  // For images of the shape that build was given.
  SegNetOptions segnet_options() const;

 private:
  SegNetOptions options_;
};

}  // namespace detente::nn
