// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/config.h>
#include <detente/balance/internal/equal_angle.h>
#include <detente/balance/internal/unit_gram.h>
#include <detente/balance/method_info.h>

namespace detente::balance {
namespace {

class Config final : public Method {
 public:
  const char* name() const override { return "config"; }
  MethodClass method_class() const override { return MethodClass::kGram; }

 protected:
  void compute(const Problem& problem, Result& result) override {
    if (!internal::take_rows(problem, 0.0, unit_, result)) return;
    angle_.solve(unit_);
    if (!angle_.equal()) {
      result.stop = StopReason::kDegenerate;
      result.message =
          "The gradients depend on each other, so no direction has the same angle to "
          "all; the least-squares one is taken.";
    }
    for (std::size_t i = 0; i < unit_.size(); ++i) {
      result.weights[unit_.rows[i]] = angle_.length_factor() * angle_.a()[i];
    }
  }

 private:
  internal::UnitGram unit_;
  internal::EqualAngle angle_;
};

}  // namespace

Result config(MatrixView gram) {
  Config method;
  return solve_once(method, {.tasks = gram.rows, .gram = gram});
}

std::unique_ptr<Method> make_config() { return std::make_unique<Config>(); }

MethodInfo config_info() {
  return {.name = "config",
          .title = "ConFIG",
          .summary = "The direction at the same angle to every gradient.",
          .when =
              "Few tasks with independent gradients that must all improve, such as the residuals "
              "of a physics-informed network.",
          .paper = "Liu, Chu, Thuerey, ICLR 2025, arXiv 2408.11104",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kSingleTaskIdentity | kRowScaleLinear | kZeroRowIgnored,
          .make = &make_config};
}

}  // namespace detente::balance
