// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/fairgrad.h>
#include <detente/balance/internal/bargain.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class Fairgrad final : public Method {
 public:
  Fairgrad() = default;
  explicit Fairgrad(const FairgradOptions& options) : options_(options) {}

  const char* name() const override { return "fairgrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    bargain_.solve(problem, options_.alpha, result);
  }

 private:
  FairgradOptions options_;
  internal::Bargain bargain_;
};

}  // namespace

void FairgradOptions::describe(FieldVisitor& visitor) {
  // Outside these bounds the powers of the weights leave the range of double.
  visitor.number("alpha",
                 alpha,
                 {.min = 0.1, .max = 10},
                 "Fairness: 1 is nash_mtl, small values tend to equal weights, large ones to equal "
                 "improvement of every task.");
}

Result fairgrad(MatrixView gram, const FairgradOptions& options) {
  Fairgrad method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::fairgrad]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_fairgrad() { return std::make_unique<Fairgrad>(); }

MethodInfo fairgrad_info() {
  return {.name = "fairgrad",
          .title = "FairGrad",
          .summary = "The direction whose improvements are fair, with one parameter for how fair.",
          .when = "As nash_mtl (alpha = 1), when you want to trade total for equal improvement.",
          .paper = "Ban, Ji, ICML 2024, arXiv 2402.15638",
          .method_class = MethodClass::kGram,
          .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
                  kNonConflicting | kRowScaleInvariant | kZeroRowIgnored,
          .make = &make_fairgrad};
}

}  // namespace detente::balance
