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
    if (options_.times_k) {
      for (double& w : result.weights) w *= static_cast<double>(problem.tasks);
    }
    internal::limit_norm(problem.gram, options_.max_norm, result.weights);
  }

 private:
  FairgradOptions options_;
  internal::Bargain bargain_;
};

}  // namespace

void FairgradOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: d as in the paper; official_code: times_k and max_norm 1, as in the "
                   "authors' vision code.")) {
    times_k = preset == Preset::kOfficialCode;
    max_norm = preset == Preset::kPaper ? 0.0 : 1.0;
  }
  // Outside these bounds the powers of the weights leave the range of double.
  visitor.number("alpha",
                 alpha,
                 {.min = 0.1, .max = 10},
                 "Fairness: 1 is nash_mtl, small values tend to equal weights, large ones to equal "
                 "improvement of every task.");
  visitor.flag("times_k", times_k, "Multiply the direction by k, the scale of the summed loss.");
  visitor.number("max_norm",
                 max_norm,
                 {.min = 0},
                 "Greatest length of the direction, after times_k; 0: no limit.");
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
