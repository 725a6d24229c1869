// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/bce.h>

namespace detente::losses {
namespace {

class Bce final : public Loss {
 public:
  const char* name() const override { return "bce"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const override {
    const double low = target.min().item<double>();
    const double high = target.max().item<double>();
    DETENTE_CHECK(low >= 0 && high <= 1,
                  ErrorCode::kData,
                  "[losses::bce] targets must be in [0, 1]; got {}. Give the task a threshold that "
                  "makes its column binary, or a regression head.",
                  low < 0 ? low : high);
    const at::Tensor positive = at::softplus(-prediction) * target;
    const at::Tensor negative = at::softplus(prediction) * (1 - target);
    return positive * options_.positive_weight + negative;
  }

 private:
  BceOptions options_;
};

}  // namespace

void BceOptions::describe(FieldVisitor& visitor) {
  visitor.number("positive_weight",
                 positive_weight,
                 {.min = 0, .min_open = true},
                 "What a positive counts against a negative; above 1 where positives are rare.");
}

std::unique_ptr<Loss> make_bce() { return std::make_unique<Bce>(); }

}  // namespace detente::losses
