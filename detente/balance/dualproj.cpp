// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dualproj.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/project.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class Dualproj final : public Method {
 public:
  Dualproj() = default;
  explicit Dualproj(const DualprojOptions& options) : options_(options) {}

  const char* name() const override { return "dualproj"; }
  MethodClass method_class() const override { return MethodClass::kGram; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    const double mean = 1.0 / static_cast<double>(problem.tasks);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      result.weights[i] = internal::per_task(options_.preference, problem, i, mean);
    }
    unit_.assign(problem.gram);
    v_.resize(unit_.size());
    for (std::size_t i = 0; i < unit_.size(); ++i) v_[i] = result.weights[unit_.rows[i]];
    internal::certify(projection_.apply(unit_, v_), result);
    result.iterations = projection_.pivots();
    for (std::size_t i = 0; i < unit_.size(); ++i) result.weights[unit_.rows[i]] = v_[i];
    if (unit_.size() == 0) internal::report_all_zero(result);
  }

 private:
  DualprojOptions options_;
  internal::UnitGram unit_;
  internal::DualConeProjection projection_;
  std::vector<double> v_;
};

}  // namespace

void DualprojOptions::describe(FieldVisitor& visitor) {
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Weights of the gradients before the projection; empty: 1/k each.");
}

Result dualproj(MatrixView gram, const DualprojOptions& options) {
  Dualproj method(options);
  validate_fields([&](FieldVisitor& v) { method.describe(v); }, "[balance::dualproj]");
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_dualproj() { return std::make_unique<Dualproj>(); }

MethodInfo dualproj_info() {
  return {
      .name = "dualproj",
      .title = "Dual-cone projection of the mean",
      .summary = "The direction nearest to the mean gradient that harms no task.",
      .when = "When the mean gradient is what you want except where it harms a task; no parameter.",
      .paper = "Lopez-Paz, Ranzato, NeurIPS 2017, arXiv 1706.08840",
      .method_class = MethodClass::kGram,
      .laws = kCommonLaws | kNonConflicting | kSingleTaskIdentity | kIdenticalRowsIdentity |
              kZeroRowIgnored,
      .make = &make_dualproj};
}

}  // namespace detente::balance
