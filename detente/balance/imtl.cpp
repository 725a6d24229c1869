// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/imtl.h>
#include <detente/balance/internal/adam.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/impartial.h>
#include <detente/balance/method_info.h>

#include <cmath>

namespace detente::balance {
namespace {

constexpr const char* kInImtl = "[balance::imtl]";

class Imtl final : public Method {
 public:
  const char* name() const override { return "imtl"; }
  MethodClass method_class() const override { return MethodClass::kGramLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override { return adam_.state(); }
  void load_state(const Json& state) override { adam_.load_state(state, kInImtl); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    internal::check_non_negative_losses(
        problem, name(), "the objective exp(s) L - s then has no minimum");
    adam_.start(problem.total(), options_.init, kInImtl);
    scale_.resize(k);
    gradient_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      scale_[i] = std::exp(adam_.values()[problem.id(i)]);
      gradient_[i] = scale_[i] * problem.losses[i] - 1.0;
    }
    gram_.resize(k * k);
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j) {
        gram_[i * k + j] = scale_[i] * problem.gram(i, j) * scale_[j];
      }
    }
    solver_.solve({.tasks = k, .gram = {gram_.data(), k, k}}, result);
    for (std::size_t i = 0; i < k; ++i) result.weights[i] *= scale_[i];
    adam_.step(problem, gradient_, options_.lr);
    adam_.clamp(options_.clamp);
  }

 private:
  ImtlLOptions options_;
  internal::Adam adam_;
  internal::Impartial solver_;
  std::vector<double> scale_, gradient_, gram_;
};

}  // namespace

std::unique_ptr<Method> make_imtl() { return std::make_unique<Imtl>(); }

MethodInfo imtl_info() {
  return {.name = "imtl",
          .title = "IMTL",
          .summary = "imtl_l and imtl_g together: balanced losses, then balanced gradients.",
          .when =
              "As imtl_g, when losses are in different units and the length of the step should "
              "not depend on them; losses must not be negative.",
          .paper = "Liu et al., ICLR 2021 (Towards Impartial Multi-task Learning)",
          .method_class = MethodClass::kGramLoss,
          .stateful = true,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_imtl};
}

}  // namespace detente::balance
