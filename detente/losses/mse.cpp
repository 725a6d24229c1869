// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/losses/mse.h>

namespace detente::losses {
namespace {

class Mse final : public Loss {
 public:
  const char* name() const override { return "mse"; }

 protected:
  at::Tensor compute(const at::Tensor& prediction,
                     const at::Tensor& target,
                     LossInfo& /*info*/) const override {
    return (prediction - target).square().mean();
  }
};

}  // namespace

std::unique_ptr<Loss> make_mse() { return std::make_unique<Mse>(); }

}  // namespace detente::losses
