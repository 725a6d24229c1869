// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl_g.h>
#include <detente/balance/internal/equal_angle.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

#include <cmath>

namespace detente::balance {
namespace {

// Below this part of Σ|a| the sum has lost its digits.
constexpr double kCancelled = 1e-9;

class ImtlG final : public Method {
 public:
  const char* name() const override { return "imtl_g"; }
  MethodClass method_class() const override { return MethodClass::kGram; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (!internal::take_rows(problem, 0.0, unit_, result)) return;
    angle_.solve(unit_);
    double size = 0;
    for (const double a : angle_.a()) size += std::abs(a);
    double factor = 0;
    if (angle_.sum() > kCancelled * size) {
      factor = 1.0 / angle_.sum();
    } else {
      factor = angle_.length_factor();
      result.stop = StopReason::kDegenerate;
      result.message =
          "The published weights would raise every loss (their sum is not positive); "
          "the direction of config is taken instead.";
    }
    for (std::size_t i = 0; i < unit_.size(); ++i) {
      result.weights[unit_.rows[i]] = factor * angle_.a()[i];
    }
  }

 private:
  internal::UnitGram unit_;
  internal::EqualAngle angle_;
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
