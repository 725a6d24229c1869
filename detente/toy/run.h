// SPDX-License-Identifier: Apache-2.0
// Runs a balancing method on a toy problem: gradients, direction, Adam.
//
// Every method runs here. One step has no batches, so class X gets the Gram matrix for the inner
// products of two batches; methods on shared representations (mgda_ub) act on the parameters; class
// J gets the 2×2 Jacobian.
#pragma once

#include <detente/balance/method.h>
#include <detente/toy/problems.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::toy {

struct RunOptions {
  std::int64_t steps = 100'000;  // >= 0
  double lr = 0.001;             // > 0
  std::uint64_t seed = 0;        // for methods with random numbers
  std::size_t samples = 4000;    // about as many points of the trajectory are kept
  // Show the method the losses plus the problem's shift, which makes them at least 1. The gradients
  // stay as they are.
  bool shift_losses = false;
  // Told the share of steps done, at every sample; may be empty.
  std::function<void(double)> progress;
};

struct RunResult {
  std::string method;
  Vec2 start;
  Vec2 final;
  std::array<double, 2> losses{};  // at `final`
  double mean_loss = 0;
  double min_norm = 0;  // toy::min_norm at `final`
  std::int64_t steps = 0;
  std::array<double, 2> shift{};  // what the losses shown to the method were raised by
  std::vector<Vec2> trajectory;   // evenly spaced in steps, from `start` to `final`
};

// The method with the options that the comparisons in the literature use: directions on the scale
// of the gradients' mean (of their sum for problems that descend the sum); CAGrad with c = 0.5,
// divided by 1 + c. Adam hides what difference in scale remains. Throws as make_method.
std::unique_ptr<balance::Method> make_toy_method(const ToyProblem& problem, std::string_view name);

// Throws kInvalidArgument (options, a start that is not finite) and as Method::solve.
RunResult run(const ToyProblem& problem,
              balance::Method& method,
              Vec2 start,
              const RunOptions& options);

}  // namespace detente::toy
