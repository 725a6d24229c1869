// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/losses/huber.h>

namespace detente::losses {
namespace {

class Huber final : public Loss {
 public:
  const char* name() const override { return "huber"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  at::Tensor compute(const at::Tensor& prediction,
                     const at::Tensor& target,
                     LossInfo& /*info*/) const override {
    const at::Tensor error = (prediction - target).abs();
    const at::Tensor near = error.clamp_max(options_.delta);
    // ½ near² + δ (error − near): the second term is 0 inside, the first constant outside.
    return (near.square() * 0.5 + (error - near) * options_.delta).mean();
  }

 private:
  HuberOptions options_;
};

}  // namespace

void HuberOptions::describe(FieldVisitor& visitor) {
  visitor.number("delta",
                 delta,
                 {.min = 0, .min_open = true},
                 "Error up to which the loss is quadratic, in units of the target.");
}

std::unique_ptr<Loss> make_huber() { return std::make_unique<Huber>(); }

}  // namespace detente::losses
