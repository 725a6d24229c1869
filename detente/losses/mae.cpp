// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/losses/mae.h>

namespace detente::losses {
namespace {

class Mae final : public Loss {
 public:
  const char* name() const override { return "mae"; }

 protected:
  at::Tensor compute(const at::Tensor& prediction,
                     const at::Tensor& target,
                     LossInfo& /*info*/) const override {
    return (prediction - target).abs().mean();
  }
};

}  // namespace

std::unique_ptr<Loss> make_mae() { return std::make_unique<Mae>(); }

}  // namespace detente::losses
