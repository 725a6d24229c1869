// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/bargain.h>
#include <detente/balance/method_info.h>
#include <detente/balance/nash_mtl.h>

namespace detente::balance {
namespace {

class NashMtl final : public Method {
 public:
  const char* name() const override { return "nash_mtl"; }
  MethodClass method_class() const override { return MethodClass::kGram; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    bargain_.solve(problem, 1.0, result);
  }

 private:
  internal::Bargain bargain_;
};

}  // namespace

Result nash_mtl(MatrixView gram) {
  NashMtl method;
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_nash_mtl() { return std::make_unique<NashMtl>(); }

MethodInfo nash_mtl_info() {
  return {.name = "nash_mtl",
          .title = "Nash-MTL",
          .summary = "The direction the tasks would agree on in a bargaining game.",
          .when =
              "Losses of very different scale: the direction does not depend on it. The step "
              "length is fixed, so the learning rate must be chosen for it.",
          .paper = "Navon et al., ICML 2022, arXiv 2202.01017",
          .method_class = MethodClass::kGram,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kNonConflicting | kRowScaleInvariant | kZeroRowIgnored,
          .make = &make_nash_mtl};
}

}  // namespace detente::balance
