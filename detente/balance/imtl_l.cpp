// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl_l.h>
#include <detente/balance/internal/adam.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>

#include <cmath>

namespace detente::balance {
namespace {

class ImtlL final : public Method {
 public:
  const char* name() const override { return "imtl_l"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override { return adam_.state(); }
  void load_state(const Json& state) override { adam_.load_state(state, "[balance::imtl_l]"); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_non_negative_losses(
        problem, name(), "the objective exp(s) L - s then has no minimum");
    adam_.start(problem.total(), options_.init, "[balance::imtl_l]");
    gradient_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      result.weights[i] = std::exp(adam_.values()[problem.id(i)]);
      gradient_[i] = result.weights[i] * problem.losses[i] - 1.0;
    }
    adam_.step(problem, gradient_, options_.lr);
    adam_.clamp(options_.clamp);
  }

 private:
  ImtlLOptions options_;
  internal::Adam adam_;
  std::vector<double> gradient_;
};

}  // namespace

void ImtlLOptions::describe(FieldVisitor& visitor) {
  visitor.number("lr", lr, {.min = 0}, "Learning rate of the log-weights (Adam).");
  visitor.number("init", init, {.min = -10, .max = 10}, "First log-weight of every task.");
  visitor.number(
      "clamp", clamp, {.min = 0, .max = 100, .min_open = true}, "Largest absolute log-weight.");
}

std::unique_ptr<Method> make_imtl_l() { return std::make_unique<ImtlL>(); }

MethodInfo imtl_l_info() {
  return {.name = "imtl_l",
          .title = "IMTL-L",
          .summary = "Loss weights learned so that all weighted losses become equal.",
          .when = "Losses in different units, smoother than si; losses must not be negative.",
          .paper = "Liu et al., ICLR 2021 (Towards Impartial Multi-task Learning)",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_imtl_l};
}

}  // namespace detente::balance
