// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/bargain.h>
#include <detente/balance/method_info.h>
#include <detente/balance/nash_mtl.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

class NashMtl final : public Method {
 public:
  NashMtl() = default;
  explicit NashMtl(const NashMtlOptions& options) : options_(options) {}

  const char* name() const override { return "nash_mtl"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    bargain_.solve(problem, 1.0, result);
    if (options_.normalize) {
      const double factor = root_of_norm(problem.gram);
      for (double& w : result.weights) w *= factor;
    }
    internal::limit_norm(problem.gram, options_.max_norm, result.weights);
  }

 private:
  // √‖G‖_F
  static double root_of_norm(const MatrixView& gram) {
    double largest = 0;
    for (std::size_t i = 0; i < gram.rows; ++i) largest = std::max(largest, gram(i, i));
    if (!(largest > 0)) return 0.0;
    double squared = 0;
    for (std::size_t i = 0; i < gram.rows * gram.cols; ++i) {
      const double entry = gram.data[i] / largest;
      squared += entry * entry;
    }
    return std::sqrt(largest) * std::pow(squared, 0.25);
  }

  NashMtlOptions options_;
  internal::Bargain bargain_;
};

}  // namespace

void NashMtlOptions::describe(FieldVisitor& visitor) {
  if (visit_preset(visitor,
                   preset,
                   "paper: length sqrt(k); official_code: normalize and max_norm 1, as in the "
                   "authors' code.")) {
    normalize = preset == Preset::kOfficialCode;
    max_norm = preset == Preset::kPaper ? 0.0 : 1.0;
  }
  visitor.flag("normalize",
               normalize,
               "Divide the Gram matrix by its Frobenius norm first, which gives the direction the "
               "scale of the gradients.");
  visitor.number(
      "max_norm", max_norm, {.min = 0}, "Greatest length of the direction; 0: no limit.");
}

Result nash_mtl(MatrixView gram, const NashMtlOptions& options) {
  NashMtl method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::nash_mtl]");
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
