// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gls.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>

#include <cmath>

namespace detente::balance {
namespace {

class Gls final : public Method {
 public:
  const char* name() const override { return "gls"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_positive_losses(problem, name(), "the geometric mean needs its logarithm");
    const double k = static_cast<double>(problem.tasks);
    double mean_log = 0;
    for (const double loss : problem.losses) mean_log += std::log(loss) / k;
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      result.weights[i] = std::exp(mean_log - std::log(problem.losses[i])) / k;
    }
  }
};

}  // namespace

std::unique_ptr<Method> make_gls() { return std::make_unique<Gls>(); }

MethodInfo gls_info() {
  return {.name = "gls",
          .title = "Geometric loss strategy",
          .summary = "The gradient of the geometric mean of the losses.",
          .when =
              "Positive losses in different units, without state or tuning; the length of the "
              "step then depends on the losses.",
          .paper = "Chennupati et al., CVPR workshops 2019, arXiv 1904.08492",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSingleTaskIdentity | kZeroRowIgnored,
          .make = &make_gls};
}

}  // namespace detente::balance
