// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/bargain.h>
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

}  // namespace detente::balance
