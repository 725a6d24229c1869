// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/focal.h>

namespace detente::losses {
namespace {

class Focal final : public Loss {
 public:
  const char* name() const override { return "focal"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const override {
    const at::Tensor valid = target.eq(0).logical_or(target.eq(1));
    DETENTE_CHECK(valid.all().item<bool>(),
                  ErrorCode::kData,
                  "[losses::focal] targets must be 0 or 1; got another number. Use loss bce for "
                  "soft labels.");
    const at::Tensor sign = target * 2 - 1;
    const at::Tensor s = prediction * sign;
    const at::Tensor alpha = target * options_.alpha + (1 - target) * (1 - options_.alpha);
    const at::Tensor focus = at::exp(at::softplus(s) * -options_.gamma);
    return alpha * focus * at::softplus(-s);
  }

 private:
  FocalOptions options_;
};

}  // namespace

void FocalOptions::describe(FieldVisitor& visitor) {
  visitor.number(
      "gamma", gamma, {.min = 0}, "How much less well-classified rows count; 0: not at all less.");
  visitor.number(
      "alpha", alpha, {.min = 0, .max = 1}, "Weight of positives; negatives get 1 - alpha.");
}

std::unique_ptr<Loss> make_focal() { return std::make_unique<Focal>(); }

}  // namespace detente::losses
