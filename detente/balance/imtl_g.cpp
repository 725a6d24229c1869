// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl_g.h>
#include <detente/balance/internal/impartial.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class ImtlG final : public Method {
 public:
  const char* name() const override { return "imtl_g"; }
  MethodClass method_class() const override { return MethodClass::kGram; }

 protected:
  void compute(const Problem& problem, Result& result) override { solver_.solve(problem, result); }

 private:
  internal::Impartial solver_;
};

}  // namespace

Result imtl_g(MatrixView gram) {
  ImtlG method;
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_imtl_g() { return std::make_unique<ImtlG>(); }

MethodInfo imtl_g_info() {
  return {.name = "imtl_g",
          .title = "IMTL-G",
          .summary = "The direction whose projections on all gradients are equal.",
          .when =
              "Equal progress for gradients of different size, for few tasks; for many, prefer "
              "config, which needs no guard.",
          .paper = "Liu et al., ICLR 2021 (Towards Impartial Multi-task Learning)",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
          .make = &make_imtl_g};
}

}  // namespace detente::balance
