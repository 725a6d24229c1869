// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/bargain.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

// wᵀGw of the min-norm weights, relative to its terms: below, double cannot tell it from 0.
constexpr double kStationary = 1e-14;

// Whether a convex combination of the rows vanishes; the weights of the shortest one in `w`.
bool bargain_stationary(const UnitGram& unit, MinNorm& solver, std::vector<double>& w) {
  solver.solve(unit, w);
  const SquaredLength squared = squared_length(unit, w);
  return unit.size() > 1 && squared.value <= kStationary * squared.size;
}

}  // namespace

void limit_norm(MatrixView gram, double max_norm, std::vector<double>& w) {
  if (!(max_norm > 0)) return;
  double squared = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) squared += w[i] * gram(i, j) * w[j];
  }
  const double length = std::sqrt(std::max(squared, 0.0));
  if (!(length > max_norm)) return;
  for (double& x : w) x *= max_norm / length;
}

void Bargain::solve(const Problem& problem, double a, Result& result) {
  if (!take_rows(problem, 0.0, unit_, result)) return;
  double scale = 1.0;
  if (bargain_stationary(unit_, min_norm_, weights_)) {
    result.stop = StopReason::kDegenerate;
    result.message =
        "Pareto-stationary: no direction improves every task, so there is no "
        "agreement; the weights are those of mgda.";
  } else {
    const bool solved = newton_.solve(unit_, a, weights_);
    // Solved for rows in units of the largest norm: (s²G')(κα') = (κα')^(−1/a).
    scale = std::pow(unit_.largest, -2.0 * a / (1.0 + a));
    result.certificate = newton_.residual();
    result.iterations = newton_.steps();
    result.stop = solved ? StopReason::kConverged : StopReason::kMaxIterations;
    if (!solved) result.message = "Newton's method did not reach the tolerance.";
  }
  for (std::size_t i = 0; i < unit_.size(); ++i) {
    result.weights[unit_.rows[i]] = scale * weights_[i];
  }
}

}  // namespace detente::balance::internal
