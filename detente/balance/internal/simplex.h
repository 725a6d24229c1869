// SPDX-License-Identifier: Apache-2.0
// Weights on the probability simplex: the projection on it, and weights kept there between steps.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/json.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::balance::internal {

// Replaces v (at least one finite number) by the nearest point with v >= 0 and Σv = 1. Exact to
// rounding however large the numbers are, since only their differences to the largest count.
void project_on_simplex(std::vector<double>& v, std::vector<double>& scratch);

// One weight per task, kept by task id: the tasks absent from a step keep their weights, and those
// present share among themselves what they had together.
class SimplexWeights {
 public:
  bool empty() const { return all_.empty(); }
  const std::vector<double>& all() const { return all_; }

  // {"weights"}, or null before the first step.
  Json state() const;
  void load_state(const Json& state, const std::string& where);

  // From a list of a saved state; empty: forget. kData unless all are >= 0 and their sum is 1.
  void load(std::vector<double> weights, const std::string& where);

  // w becomes the weights of the tasks present, scaled to Σw = 1; uniform in the first step and
  // where the tasks present have no weight at all. kShape when the number of all tasks changed.
  void take(const Problem& problem, const std::string& where, std::vector<double>& w);

  // Keeps w (on the simplex) for the tasks present. After take() of the same problem.
  void put(const Problem& problem, const std::vector<double>& w);

 private:
  double share(const Problem& problem) const;

  std::vector<double> all_;
};

}  // namespace detente::balance::internal
