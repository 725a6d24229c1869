// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/losses/cumulative.h>

namespace detente::losses {
namespace {

constexpr double kClosest = 1e-6;  // of two logits that follow each other

// Targets as ids, checked.
at::Tensor ordered_ids(const char* loss, const at::Tensor& logits, const at::Tensor& target) {
  const std::int64_t steps = logits.size(1);
  const at::Tensor valid =
      target.eq(target.round()).logical_and(target.ge(0)).logical_and(target.le(steps));
  DETENTE_CHECK(valid.all().item<bool>(),
                ErrorCode::kData,
                "[losses::{}] targets must be whole numbers from 0 to {}; got {}.",
                loss,
                steps,
                target.masked_select(valid.logical_not())[0].item<double>());
  return target.to(at::kLong);
}

class Cumulative final : public Loss {
 public:
  const char* name() const override { return "cumulative"; }

 protected:
  bool wants_classes() const override { return true; }

  at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const override {
    const at::Tensor y = ordered_ids(name(), prediction, target);
    const std::int64_t steps = prediction.size(1);
    const auto logit = [&](const at::Tensor& k) {
      return prediction.gather(1, k.unsqueeze(1)).squeeze(1);
    };
    const at::Tensor above = logit(y.clamp_max(steps - 1));  // more than y
    const at::Tensor reached = logit((y - 1).clamp_min(0));  // at least y
    const at::Tensor can_be_above = y.lt(steps);
    const at::Tensor can_be_below = y.gt(0);
    const at::Tensor nothing = at::zeros_like(above);
    const at::Tensor between = can_be_above.logical_and(can_be_below);
    // What is not between has a distance of one there: where() alone would let NaN into the gradient.
    const at::Tensor apart =
        at::where(between, reached - above, at::ones_like(above)).clamp_min(kClosest);
    return at::where(can_be_below, at::softplus(-reached), nothing) +
           at::where(can_be_above, at::softplus(above), nothing) -
           at::where(between, at::log(-at::expm1(-apart)), nothing);
  }
};

class Coral final : public Loss {
 public:
  const char* name() const override { return "coral"; }

 protected:
  bool wants_classes() const override { return true; }

  at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const override {
    const at::Tensor y = ordered_ids(name(), prediction, target);
    const at::Tensor steps = at::arange(prediction.size(1), y.options());
    const at::Tensor more = y.unsqueeze(1).gt(steps).to(prediction.scalar_type());
    return (at::softplus(-prediction) * more + at::softplus(prediction) * (1 - more)).sum(1);
  }
};

}  // namespace

std::unique_ptr<Loss> make_cumulative() { return std::make_unique<Cumulative>(); }
std::unique_ptr<Loss> make_coral() { return std::make_unique<Coral>(); }

}  // namespace detente::losses
