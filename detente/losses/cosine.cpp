// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/losses/cosine.h>

namespace detente::losses {
namespace {

constexpr std::int64_t kSpace = 3;
constexpr double kSquaredLength = 1e-12;  // keeps the gradient finite where a prediction is 0

class Cosine final : public Loss {
 public:
  const char* name() const override { return "cosine"; }

 protected:
  std::int64_t wants_vectors() const override { return kSpace; }

  at::Tensor compute(const at::Tensor& prediction,
                     const at::Tensor& target,
                     LossInfo& /*info*/) const override {
    const at::Tensor scale = (prediction.square().sum(1) + kSquaredLength).rsqrt();
    return 1 - ((prediction * target).sum(1) * scale).mean();
  }
};

}  // namespace

std::unique_ptr<Loss> make_cosine() { return std::make_unique<Cosine>(); }

}  // namespace detente::losses
