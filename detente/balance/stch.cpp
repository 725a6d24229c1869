// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>
#include <detente/balance/stch.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance {
namespace {

class Stch final : public Method {
 public:
  const char* name() const override { return "stch"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const std::vector<double>& preference = options_.preference;
    internal::check_per_task(options_.preference.size(), problem, name(), "preference");
    internal::check_per_task(options_.ideal.size(), problem, name(), "ideal");
    double total = 0;
    for (std::size_t i = 0; i < k; ++i) total += internal::per_task(preference, problem, i, 1.0);
    if (!(total > 0)) {
      // Those that count may be absent in this step; a list of zeros counts nobody, ever.
      const bool any =
          std::any_of(preference.begin(), preference.end(), [](double p) { return p > 0; });
      DETENTE_CHECK(any,
                    ErrorCode::kInvalidArgument,
                    "[balance::stch] option 'preference' is all zero; expected at least one entry "
                    "> 0.");
      std::fill(result.weights.begin(), result.weights.end(), 0.0);
      result.stop = StopReason::kDegenerate;
      result.message = "All tasks with a preference are absent.";
      return;
    }
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < k; ++i) {
      const double share = internal::per_task(preference, problem, i, 1.0) / total;
      const double ideal = internal::per_task(options_.ideal, problem, i, 0.0);
      result.weights[i] = share * (problem.losses[i] - ideal) / options_.mu;
      largest = std::max(largest, result.weights[i]);
    }
    double sum = 0;
    for (double& w : result.weights) {
      w = std::exp(w - largest);
      sum += w;
    }
    for (std::size_t i = 0; i < k; ++i) {
      result.weights[i] *= internal::per_task(preference, problem, i, 1.0) / total / sum;
    }
  }

 private:
  StchOptions options_;
};

}  // namespace

void StchOptions::describe(FieldVisitor& visitor) {
  visitor.number("mu",
                 mu,
                 {.min = 0, .min_open = true, .max_open = true},
                 "Smoothing; small values follow the worst task alone.");
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Importance of each task, normalised to sum 1; empty: equal.");
  visitor.numbers("ideal",
                  ideal,
                  {.min_open = true, .max_open = true},
                  "The best loss each task can reach; empty: 0.");
}

std::unique_ptr<Method> make_stch() { return std::make_unique<Stch>(); }

MethodInfo stch_info() {
  return {.name = "stch",
          .title = "Smooth Tchebycheff scalarisation",
          .summary = "The gradient of a smooth maximum of the weighted losses.",
          .when =
              "When the worst task counts and the losses are on comparable scales; reaches Pareto "
              "points no weighted sum can.",
          .paper = "Lin et al., ICML 2024, arXiv 2402.19078",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSingleTaskIdentity,
          .make = &make_stch};
}

}  // namespace detente::balance
