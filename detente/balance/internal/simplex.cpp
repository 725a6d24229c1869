// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/simplex.h>
#include <detente/balance/internal/state.h>
#include <detente/core/error.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace detente::balance::internal {

void project_on_simplex(std::vector<double>& v, std::vector<double>& scratch) {
  const double largest = *std::max_element(v.begin(), v.end());
  for (double& x : v) x -= largest;
  scratch.assign(v.begin(), v.end());
  std::sort(scratch.begin(), scratch.end(), std::greater<>());
  // The threshold that leaves a sum of one among the `size` largest; the right size is the last for
  // which the smallest of them stays above it.
  double sum = 0;
  double threshold = -1;
  for (std::size_t size = 1; size <= scratch.size(); ++size) {
    sum += scratch[size - 1];
    const double candidate = (sum - 1.0) / static_cast<double>(size);
    if (scratch[size - 1] <= candidate) break;
    threshold = candidate;
  }
  for (double& x : v) x = std::max(x - threshold, 0.0);
}

Json SimplexWeights::state() const {
  if (all_.empty()) return nullptr;
  return Json{{"weights", all_}};
}

void SimplexWeights::load_state(const Json& state, const std::string& where) {
  load(state.is_null() ? std::vector<double>{} : state_numbers(state, "weights", where), where);
}

void SimplexWeights::load(std::vector<double> weights, const std::string& where) {
  double sum = 0;
  bool legal = true;
  for (const double w : weights) {
    legal = legal && w >= 0;
    sum += w;
  }
  // The slack is for states written by hand; our own sums are exact to rounding.
  DETENTE_CHECK(weights.empty() || (legal && std::abs(sum - 1.0) <= 1e-6),
                ErrorCode::kData,
                "{} the saved weights must be >= 0 and have the sum 1; got the sum {}{}.",
                where,
                sum,
                legal ? "" : " with negative ones");
  all_ = std::move(weights);
}

void SimplexWeights::take(const Problem& problem,
                          const std::string& where,
                          std::vector<double>& w) {
  if (all_.empty()) {
    all_.assign(problem.total(), 1.0 / static_cast<double>(problem.total()));
  }
  check_tasks(all_.size(), problem.total(), where);
  const double sum = share(problem);
  w.resize(problem.tasks);
  for (std::size_t i = 0; i < problem.tasks; ++i) {
    w[i] = sum > 0 ? all_[problem.id(i)] / sum : 1.0 / static_cast<double>(problem.tasks);
  }
}

void SimplexWeights::put(const Problem& problem, const std::vector<double>& w) {
  const double sum = share(problem);
  for (std::size_t i = 0; i < problem.tasks; ++i) all_[problem.id(i)] = sum * w[i];
}

double SimplexWeights::share(const Problem& problem) const {
  double sum = 0;
  for (std::size_t i = 0; i < problem.tasks; ++i) sum += all_[problem.id(i)];
  return sum;
}

}  // namespace detente::balance::internal
