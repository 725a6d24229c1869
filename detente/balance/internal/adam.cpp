// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/adam.h>
#include <detente/balance/internal/state.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {

void Adam::start(std::size_t k, double init, std::string_view where) {
  if (values_.empty()) {
    values_.assign(k, init);
    first_.assign(k, 0.0);
    second_.assign(k, 0.0);
    steps_.assign(k, 0);
  }
  check_tasks(values_.size(), k, where);
}

void Adam::step_one(std::size_t i, double gradient, double lr) {
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  constexpr double kEpsilon = 1e-8;
  const auto steps = static_cast<double>(++steps_[i]);
  const double correction1 = 1.0 - std::pow(kBeta1, steps);
  const double correction2 = 1.0 - std::pow(kBeta2, steps);
  first_[i] += (1.0 - kBeta1) * (gradient - first_[i]);
  second_[i] += (1.0 - kBeta2) * (gradient * gradient - second_[i]);
  values_[i] -= lr * (first_[i] / correction1) / (std::sqrt(second_[i] / correction2) + kEpsilon);
}

void Adam::step(const std::vector<double>& gradient, double lr) {
  for (std::size_t i = 0; i < values_.size(); ++i) step_one(i, gradient[i], lr);
}

void Adam::step(const Problem& problem, const std::vector<double>& gradient, double lr) {
  for (std::size_t i = 0; i < problem.tasks; ++i) step_one(problem.id(i), gradient[i], lr);
}

void Adam::clamp(double bound) {
  for (double& value : values_) value = std::clamp(value, -bound, bound);
}

Json Adam::state() const {
  if (values_.empty()) return nullptr;
  return Json{{"values", values_}, {"first", first_}, {"second", second_}, {"steps", steps_}};
}

void Adam::load_state(const Json& state, const std::string& where) {
  std::vector<double> steps;
  load_lists(state,
             {{"values", &values_}, {"first", &first_}, {"second", &second_}, {"steps", &steps}},
             where);
  steps_.assign(steps.begin(), steps.end());
}

}  // namespace detente::balance::internal
