// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/conflict_averse.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {}  // namespace

void ConflictAverse::solve(const Problem& problem,
                           const std::vector<double>& p,
                           double c,
                           Result& result) {
  solver_.reserve(problem.tasks);
  b_.reserve(problem.tasks);
  total_.reserve(problem.tasks);
  result.certificate = 0.0;
  const bool some = take_rows(problem, 0.0, unit_, result);
  std::copy(p.begin(), p.end(), result.weights.begin());
  if (!some) return;
  const std::size_t m = unit_.size();

  // b_i = ⟨g_i, g₀⟩ and ‖g₀‖, in units of the largest norm.
  b_.assign(m, 0.0);
  double mean_squared = 0;
  double mean_size = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const double share = p[unit_.rows[i]];
    for (std::size_t j = 0; j < m; ++j) b_[i] += unit_.c(i, j) * unit_.norm[j] * p[unit_.rows[j]];
    mean_squared += b_[i] * unit_.norm[i] * share;
    mean_size += unit_.norm[i] * share;
    b_[i] *= unit_.norm[i];
  }
  if (mean_squared <= 8 * static_cast<double>(m) * kEpsilon * mean_size * mean_size) {
    result.stop = StopReason::kDegenerate;
    result.message = "The mean gradient is zero, so the direction is zero.";
    return;
  }
  const double r = c * std::sqrt(mean_squared);
  if (!(r > 0)) return;
  // d = 0 is always within reach of a move, so the level 0 is.
  const double bound = solver_.solve(unit_, b_, r, {.stationary = 0.0});
  result.iterations = solver_.pivots();
  if (solver_.inside()) {
    result.message =
        "No direction improves every task; d is the nearest to the mean gradient that harms none.";
  }
  total_.resize(m);
  for (std::size_t i = 0; i < m; ++i) {
    total_[i] = p[unit_.rows[i]] + solver_.u()[i];
    result.weights[unit_.rows[i]] = total_[i];
  }
  certify(shortfall(unit_, total_, bound), result);
}

}  // namespace detente::balance::internal
