// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/checks.h>
#include <detente/balance/method_info.h>
#include <detente/balance/pbi.h>

#include <algorithm>
#include <cmath>

namespace detente::balance {
namespace {

// Distances from the ray below this share of the losses are rounding.
constexpr double kOnTheRay = 1e-14;

class Pbi final : public Method {
 public:
  const char* name() const override { return "pbi"; }
  MethodClass method_class() const override { return MethodClass::kLoss; }
  void describe(FieldVisitor& visitor) override { options_.describe(visitor); }

 protected:
  void compute(const Problem& problem, Result& result) override {
    const std::size_t k = problem.tasks;
    const std::vector<double>& preference = options_.preference;
    internal::check_per_task(preference.size(), problem, name(), "preference");
    internal::check_per_task(options_.ideal.size(), problem, name(), "ideal");
    const double total = internal::total_preference(preference, problem, name(), result);
    if (total == 0) return;
    std::vector<double>& ray = result.weights;
    off_.resize(k);
    double squared = 0;
    double largest = 0;
    for (std::size_t i = 0; i < k; ++i) {
      ray[i] = internal::per_task(preference, problem, i, 1.0) / total;
      squared += ray[i] * ray[i];
      off_[i] = problem.losses[i] - internal::per_task(options_.ideal, problem, i, 0.0);
      largest = std::max(largest, std::abs(off_[i]));
    }
    for (double& x : ray) x /= std::sqrt(squared);
    if (largest == 0) return;  // at the ideal point
    double along = 0;
    for (std::size_t i = 0; i < k; ++i) {
      off_[i] /= largest;
      along += off_[i] * ray[i];
    }
    double distance = 0;
    for (std::size_t i = 0; i < k; ++i) {
      off_[i] -= along * ray[i];
      distance += off_[i] * off_[i];
    }
    distance = std::sqrt(distance);
    if (distance <= kOnTheRay * std::sqrt(static_cast<double>(k))) return;
    for (std::size_t i = 0; i < k; ++i) ray[i] += options_.theta * off_[i] / distance;
  }

 private:
  PbiOptions options_;
  std::vector<double> off_;  // f, then its part across the ray, in units of the largest |f|
};

}  // namespace

void PbiOptions::describe(FieldVisitor& visitor) {
  visitor.number("theta",
                 theta,
                 {.min = 0, .max_open = true},
                 "Price of the distance from the ray, per unit of the way along it.");
  visitor.numbers("preference",
                  preference,
                  {.min = 0, .max_open = true},
                  "Direction of the ray: in which ratio the losses should stand; empty: equal.");
  visitor.numbers("ideal",
                  ideal,
                  {.min_open = true, .max_open = true},
                  "Where the ray starts, the best loss each task can reach; empty: 0.");
}

std::unique_ptr<Method> make_pbi() { return std::make_unique<Pbi>(); }

MethodInfo pbi_info() {
  return {.name = "pbi",
          .title = "Penalty-based boundary intersection",
          .summary = "Down along a ray of preferred trade-offs, with a price on leaving it.",
          .when =
              "When the losses should end in a given ratio and are on known scales; weights may "
              "be negative, so begin with a small theta.",
          .paper = "Zhang, Li, IEEE Trans. Evolutionary Computation 2007",
          .method_class = MethodClass::kLoss,
          .laws = kCommonLaws | kSingleTaskIdentity,
          .make = &make_pbi};
}

}  // namespace detente::balance
