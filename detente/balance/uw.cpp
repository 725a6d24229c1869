// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/adam.h>
#include <detente/balance/method_info.h>
#include <detente/balance/uw.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

struct UwTerm {
  double factor;   // c
  double penalty;  // a
};

UwTerm uw_term(const std::string& kind) {
  if (kind == "classification") return {1.0, 0.5};
  if (kind == "laplace") return {1.0, 1.0};
  return {0.5, 0.5};
}

class Uw final : public Method {
 public:
  const char* name() const override { return "uw"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override { return adam_.state(); }
  void load_state(const Json& state) override { adam_.load_state(state, "[balance::uw]"); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    DETENTE_CHECK(options_.kind.size() == 1 || options_.kind.size() == problem.total(),
                  ErrorCode::kInvalidArgument,
                  "[balance::uw] option kind must name one kind for all tasks or one per task; "
                  "expected 1 or {} entries, got {}.",
                  problem.total(),
                  options_.kind.size());
    adam_.start(problem.total(), options_.init, "[balance::uw]");
    gradient_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      DETENTE_CHECK(problem.losses[i] >= 0,
                    ErrorCode::kNumeric,
                    "[balance::uw] the loss of task {} is negative ({}): the objective "
                    "exp(-s) L + s/2 then has no minimum. Add a constant that makes the loss "
                    "non-negative (1 - correlation instead of -correlation), or use another "
                    "method.",
                    i < problem.names.size() ? "'" + problem.names[i] + "'" : std::to_string(i),
                    problem.losses[i]);
      const UwTerm term = uw_term(options_.kind[options_.kind.size() == 1 ? 0 : problem.id(i)]);
      result.weights[i] = term.factor * std::exp(-adam_.values()[problem.id(i)]);
      gradient_[i] = term.penalty - result.weights[i] * problem.losses[i];
    }
    adam_.step(problem, gradient_, options_.lr);
    adam_.clamp(options_.clamp);
  }

 private:
  UwOptions options_;
  internal::Adam adam_;
  std::vector<double> gradient_;
};

}  // namespace

void UwOptions::describe(FieldVisitor& visitor) {
  visitor.texts("kind",
                kind,
                {"gaussian", "classification", "laplace"},
                "What each loss is: gaussian (squared error), classification (cross-entropy) or "
                "laplace (absolute error); one entry for all tasks or one per task.");
  visitor.number("lr", lr, {.min = 0}, "Learning rate of the log-variances (Adam).");
  visitor.number("init", init, {.min = -10, .max = 10}, "First log-variance of every task.");
  visitor.number(
      "clamp", clamp, {.min = 0, .max = 100, .min_open = true}, "Largest absolute log-variance.");
}

std::unique_ptr<Method> make_uw() { return std::make_unique<Uw>(); }

MethodInfo uw_info() {
  return {.name = "uw",
          .title = "Uncertainty weighting",
          .summary = "Each loss is divided by a learned variance.",
          .when =
              "Losses in different units or noise levels, when one backward pass per step is all "
              "you can afford. Losses must not be negative.",
          .paper = "Kendall, Gal, Cipolla, CVPR 2018, arXiv 1705.07115",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_uw};
}

}  // namespace detente::balance
