// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/cross_entropy.h>

namespace detente::losses {
namespace {

class CrossEntropy final : public Loss {
 public:
  const char* name() const override { return "cross_entropy"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  bool wants_classes() const override { return true; }

  at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const override {
    const std::int64_t classes = prediction.size(1);
    const at::Tensor valid =
        target.eq(target.round()).logical_and(target.ge(0)).logical_and(target.lt(classes));
    DETENTE_CHECK(valid.all().item<bool>(),
                  ErrorCode::kData,
                  "[losses::cross_entropy] targets must be whole numbers from 0 to {}; got {}.",
                  classes - 1,
                  target.masked_select(valid.logical_not())[0].item<double>());
    const at::Tensor log_p = at::log_softmax(prediction, 1);
    const at::Tensor chosen = log_p.gather(1, target.to(at::kLong).unsqueeze(1)).squeeze(1);
    const double smoothing = options_.label_smoothing;
    if (smoothing == 0.0) return -chosen;
    return -(chosen * (1 - smoothing) + log_p.mean(1) * smoothing);
  }

 private:
  CrossEntropyOptions options_;
};

}  // namespace

void CrossEntropyOptions::describe(FieldVisitor& visitor) {
  visitor.number("label_smoothing",
                 label_smoothing,
                 {.min = 0, .max = 1, .max_open = true},
                 "Share of the target spread evenly over all classes.");
}

std::unique_ptr<Loss> make_cross_entropy() { return std::make_unique<CrossEntropy>(); }

}  // namespace detente::losses
