// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/impartial.h>

#include <cmath>

namespace detente::balance::internal {
namespace {

// Below this part of Σ|a| the sum has lost its digits.
constexpr double kCancelled = 1e-9;

}  // namespace

void Impartial::solve(const Problem& problem, Result& result) {
  if (!take_rows(problem, 0.0, unit_, result)) return;
  angle_.solve(unit_);
  double size = 0;
  for (const double a : angle_.a()) size += std::abs(a);
  double factor = 0;
  if (angle_.sum() > kCancelled * size) {
    factor = 1.0 / angle_.sum();
    if (!angle_.equal()) {
      result.stop = StopReason::kDegenerate;
      result.message =
          "The gradients depend on each other, so no direction has equal projections on all; the "
          "least-squares one is taken, which may harm a task.";
    }
  } else {
    factor = angle_.length_factor();
    result.stop = StopReason::kDegenerate;
    result.message =
        "The published weights would raise every loss (their sum is not positive); "
        "the direction of config is taken instead.";
  }
  for (std::size_t i = 0; i < unit_.size(); ++i) {
    result.weights[unit_.rows[i]] = factor * angle_.a()[i];
  }
}

}  // namespace detente::balance::internal
