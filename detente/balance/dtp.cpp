// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dtp.h>
#include <detente/balance/internal/checks.h>
#include <detente/balance/internal/state.h>
#include <detente/balance/method_info.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

constexpr const char* kInDtp = "[balance::dtp]";
// The largest 1 − κ̄ whose logarithm is finite.
constexpr double kLargest = 1.0 - std::numeric_limits<double>::epsilon() / 2;

class Dtp final : public Method {
 public:
  const char* name() const override { return "dtp"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

  Json state() const override {
    if (difficulty_.empty()) return nullptr;
    return Json{{"difficulty", difficulty_}, {"seen", seen_}};
  }
  void load_state(const Json& state) override {
    internal::load_lists(state, {{"difficulty", &difficulty_}, {"seen", &seen_}}, kInDtp);
  }

 protected:
  void compute(const Problem& problem, Result& result) override {
    internal::check_non_negative_losses(problem, name(), "exp(-L) must be at most 1");
    internal::check_per_task(options_.units.size(), problem, name(), "units");
    if (difficulty_.empty()) {
      difficulty_.assign(problem.total(), 0.0);
      seen_.assign(problem.total(), 0.0);
    }
    internal::check_tasks(difficulty_.size(), problem.total(), kInDtp);
    for (std::size_t i = 0; i < problem.tasks; ++i) {
      const double unit = internal::per_task(options_.units, problem, i, 1.0);
      const double now = -std::expm1(-problem.losses[i] / unit);
      double& average = difficulty_[problem.id(i)];
      double& seen = seen_[problem.id(i)];
      average += (seen > 0 ? options_.alpha : 1.0) * (now - average);
      seen = 1.0;
      const double e = std::min(average, kLargest);
      result.weights[i] = std::pow(e, options_.gamma) * -std::log1p(-e);
    }
  }

 private:
  DtpOptions options_;
  // Per task, absent ones included. 1 − κ̄ instead of κ̄ keeps the digits of small losses.
  std::vector<double> difficulty_;
  std::vector<double> seen_;  // 1 once the task was there
};

}  // namespace

void DtpOptions::describe(FieldVisitor& visitor) {
  visitor.number("gamma",
                 gamma,
                 {.min = 0, .max_open = true},
                 "Focusing; large values leave easy tasks almost without weight.");
  visitor.number("alpha",
                 alpha,
                 {.min = 0, .max = 1, .min_open = true},
                 "Share of the present step in the moving average; 1: no memory.");
  visitor.numbers("units",
                  units,
                  {.min = 0, .min_open = true, .max_open = true},
                  "The loss at which a task counts as done to exp(-1) = 37 %; empty: 1.");
}

std::unique_ptr<Method> make_dtp() { return std::make_unique<Dtp>(); }

MethodInfo dtp_info() {
  return {.name = "dtp",
          .title = "Dynamic task prioritisation",
          .summary = "Hard tasks come first: the focal loss among tasks.",
          .when =
              "Classification tasks of unequal difficulty, where easy ones take the model's "
              "attention; other losses need their units.",
          .paper = "Guo, Haque, Huang, Yeung, Fei-Fei, ECCV 2018",
          .method_class = MethodClass::kLoss,
          .stateful = true,
          .laws = kCommonLaws | kZeroRowIgnored,
          .make = &make_dtp};
}

}  // namespace detente::balance
