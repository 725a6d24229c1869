// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>
#include <detente/balance/si.h>

namespace detente::balance {
namespace {

class Si final : public Method {
 public:
  const char* name() const override { return "si"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_positive_losses(problem, name(), "the method divides by it");
    for (std::size_t i = 0; i < problem.tasks; ++i) result.weights[i] = 1.0 / problem.losses[i];
  }
};

}  // namespace

std::unique_ptr<Method> make_si() { return std::make_unique<Si>(); }

MethodInfo si_info() {
  return {.name = "si",
          .title = "Scale-invariant baseline",
          .summary = "The gradient of the sum of the logarithms of the losses.",
          .when =
              "Positive losses in different units; the baseline to beat for methods that claim to "
              "handle scale. A solved task takes over.",
          .paper = "Baseline of Navon et al., ICML 2022, arXiv 2202.01017",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_si};
}

}  // namespace detente::balance
