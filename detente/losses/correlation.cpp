// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <detente/losses/correlation.h>

namespace detente::losses {
namespace {

// Centring n equal numbers leaves rounding of this order.
constexpr double kCorrelationConstant = 1e-12;

class Correlation final : public Loss {
 public:
  const char* name() const override { return "correlation"; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  bool by_column() const override { return true; }

  at::Tensor compute(const at::Tensor& prediction,
                     const at::Tensor& target,
                     LossInfo& info) const override {
    const at::Tensor p = prediction.to(at::kDouble);
    const at::Tensor y = target.to(at::kDouble);
    const at::Tensor y_centred = y - y.mean();
    const double y_norm = y_centred.norm().item<double>();
    const bool defined = info.rows >= 3 && y_norm > kCorrelationConstant * y.norm().item<double>();
    info.correlation_skipped = !defined && options_.alpha < 1.0;
    at::Tensor loss;
    if (options_.alpha > 0.0) loss = (p - y).abs().mean() * options_.alpha;
    if (defined && options_.alpha < 1.0) {
      const at::Tensor p_centred = p - p.mean();
      const double floor = options_.epsilon * y_norm;
      // The floor goes under the root: the slope of a root at 0 is infinite. Below it the clamp
      // passes no gradient.
      const at::Tensor p_norm = p_centred.square().sum().clamp_min(floor * floor).sqrt();
      const at::Tensor rho = p_centred.dot(y_centred) / (p_norm * y_norm);
      // Rounding can put ρ above 1, and methods that take logarithms of losses need them >= 0.
      const at::Tensor term = (1 - rho).clamp_min(0) * (1 - options_.alpha);
      loss = loss.defined() ? loss + term : term;
    }
    return loss.defined() ? loss.to(prediction.scalar_type()) : loss;
  }

 private:
  CorrelationOptions options_;
};

}  // namespace

void CorrelationOptions::describe(FieldVisitor& visitor) {
  visitor.number("alpha",
                 alpha,
                 {.min = 0, .max = 1},
                 "Share of absolute error: (1 - alpha)(1 - correlation) + alpha MAE.");
  visitor.number("epsilon",
                 epsilon,
                 {.min = 0, .max = 1, .min_open = true},
                 "Spread of the predictions, relative to that of the targets, below which the "
                 "gradient stops growing.");
}

std::unique_ptr<Loss> make_correlation() { return std::make_unique<Correlation>(); }

}  // namespace detente::losses
