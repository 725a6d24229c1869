// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>
#include <detente/balance/uw_so.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class UwSo final : public Method {
 public:
  const char* name() const override { return "uw_so"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_positive_losses(problem, name(), "the method divides by it");
    double smallest = problem.losses[0];
    for (const double loss : problem.losses) smallest = std::min(smallest, loss);
    double sum = 0;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      // 1/L_i - 1/L_min without a difference of two large numbers; never positive.
      const double gap = (smallest - problem.losses[i]) / problem.losses[i] / smallest;
      result.weights[i] = std::exp(gap / options_.temperature);
      sum += result.weights[i];
    }
    for (double& w : result.weights) w /= sum;
  }

 private:
  UwSoOptions options_;
};

}  // namespace

void UwSoOptions::describe(FieldVisitor& visitor) {
  visitor.number("temperature",
                 temperature,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Temperature of the softmax over 1/loss; large values give equal weights. Tune "
                 "it: the best value depends on the scale of the losses.");
}

std::unique_ptr<Method> make_uw_so() { return std::make_unique<UwSo>(); }

MethodInfo uw_so_info() {
  return {.name = "uw_so",
          .title = "Soft optimal uncertainty weighting",
          .summary = "The weights uw would end at, through a softmax.",
          .when = "As uw, when its weights adapt too slowly; the temperature must be tuned.",
          .paper = "Kirchdorfer et al., 2024, arXiv 2408.07985",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity |
                  kZeroRowIgnored,
          .make = &make_uw_so};
}

}  // namespace detente::balance
