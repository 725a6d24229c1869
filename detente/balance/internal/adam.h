// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba, ICLR 2015; β = 0.9, 0.999, ε = 1e-8, no weight decay) on one number per
// task: the optimiser that methods with trained weights carry inside.
#pragma once

#include <detente/balance/method.h>
#include <detente/core/json.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace detente::balance::internal {

class Adam {
 public:
  // On the first call makes k values of `init`; later calls check that k has not changed
  // (kShape, message opened by `where`).
  void start(std::size_t k, double init, std::string_view where);

  const std::vector<double>& values() const { return values_; }
  void step(const std::vector<double>& gradient, double lr);
  // For the tasks present in `problem` alone: one entry of `gradient` each; the numbers, moments
  // and step counts of absent tasks stay as they are.
  void step(const Problem& problem, const std::vector<double>& gradient, double lr);
  void clamp(double bound);
  void set(std::size_t i, double value) { values_[i] = value; }

  // {"values", "first", "second", "steps"}, or null before the first step.
  Json state() const;
  void load_state(const Json& state, const std::string& where);

 private:
  void step_one(std::size_t i, double gradient, double lr);

  std::vector<double> values_, first_, second_;
  std::vector<std::int64_t> steps_;
};

}  // namespace detente::balance::internal
