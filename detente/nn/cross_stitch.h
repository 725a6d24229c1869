// SPDX-License-Identifier: Apache-2.0
// Cross-stitch units (Misra et al., CVPR 2016): a tower of hidden layers per task, and after each layer a
// learned mixture of the towers' outputs,
//
//   h_k = relu(W_k x_k + b_k),   x_k ← Σ_j α_kj h_j,   α_kk = own_share, α_kj = (1 − own_share) / (K − 1)
//
// at first. The paper has an α for each channel and starts from towers trained alone; here one α serves
// all units of a layer, and the towers start at random. Every tower reaches every task through the last
// mixture and is shared; of the last α a task's row is its own.
#pragma once

#include <detente/nn/sharing.h>

#include <string>
#include <vector>

namespace detente::nn {

class CrossStitch final : public Sharing {
 public:
  const char* kind() const override { return "cross_stitch"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Sharing> clone() const override { return std::make_unique<CrossStitch>(*this); }
  std::int64_t width(std::int64_t features) const override;
  TensorList operator()(const at::Tensor& features) const override;

 protected:
  void make(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) override;

 private:
  const Parameters& stitch_of(std::size_t layer, std::size_t task) const;

  std::vector<double> widths_ = {64};
  double own_share_ = 0.9;
  std::vector<std::string> tasks_;
};

}  // namespace detente::nn
