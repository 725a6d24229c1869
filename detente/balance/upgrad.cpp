// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/row_projections.h>
#include <detente/balance/method_info.h>
#include <detente/balance/upgrad.h>

#include <algorithm>

namespace detente::balance {
namespace {

class Upgrad final : public Method {
 public:
  Upgrad() = default;
  explicit Upgrad(const UpgradOptions& options) : options_(options) {}

  const char* name() const override { return "upgrad"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    const double mean = 1.0 / static_cast<double>(problem.tasks);
    std::fill(result.weights.begin(), result.weights.end(), 0.0);
    double certificate = 0;
    unit_.assign(problem.gram);
    projection_.begin(unit_);
    for (std::size_t i = 0, row = 0; i < problem.tasks; ++i) {
      const double p = internal::per_task(options_.preference, problem, i, mean);
      if (row == unit_.size() || unit_.rows[row] != i) {  // a zero gradient
        result.weights[i] += p;
        continue;
      }
      certificate = std::max(certificate, projection_.apply(unit_, row++, v_));
      result.iterations += projection_.pivots();
      for (std::size_t j = 0; j < unit_.size(); ++j) result.weights[unit_.rows[j]] += p * v_[j];
    }
    internal::certify(certificate, result);
    if (unit_.size() == 0) internal::report_all_zero(result);
  }

 private:
  UpgradOptions options_;
  internal::UnitGram unit_;
  internal::RowProjections projection_;
  std::vector<double> v_;
};

}  // namespace

void UpgradOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Weights of the projected gradients; empty: 1/k each.");
}

Result upgrad(MatrixView gram, const UpgradOptions& options) {
  Upgrad method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::upgrad]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_upgrad() { return std::make_unique<Upgrad>(); }

MethodInfo upgrad_info() {
  return {.name = "upgrad",
          .title = "UPGrad",
          .summary = "The mean of the gradients after each was projected so that it harms no task.",
          .when =
              "No task may get worse and gradients differ in size: unlike dualproj, a large "
              "gradient cannot outweigh a small one before the projection.",
          .paper = "Quinton, Rey, 2024, arXiv 2406.16232",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kNonConflicting | kSingleTaskIdentity | kIdenticalRowsIdentity |
                  kRowScaleLinear | kZeroRowIgnored,
          .make = &make_upgrad};
}

}  // namespace detente::balance
