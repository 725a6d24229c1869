// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/level.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {

void LevelSolver::reserve(std::size_t m) {
  projector_.reserve(m);
  h_.reserve(m);
  u_.reserve(m);
}

double LevelSolver::solve(const UnitGram& unit,
                          const std::vector<double>& a,
                          double r,
                          const Limits& limits) {
  const std::size_t m = unit.size();
  // Weak duality at the corners of the simplex.
  double level = limits.highest;
  for (std::size_t i = 0; i < m; ++i) level = std::min(level, a[i] + r * unit.norm[i]);
  double bound = level;
  bool stationary = false;
  bool reachable = false;  // the level is known to be, so a contradiction is rounding
  double stretch = 1.0;
  h_.resize(m);
  inside_ = false;
  pivots_ = 0;
  for (int step = 0; step < 100; ++step) {
    for (std::size_t i = 0; i < m; ++i) h_[i] = (level - a[i]) / unit.norm[i];
    const bool feasible = projector_.solve(unit, h_, reachable || level <= limits.stationary);
    pivots_ += projector_.pivots();
    double sum = 0;
    double along = 0;
    double squared = 0;
    for (std::size_t i = 0; i < m; ++i) {
      const double beta = projector_.beta()[i];
      if (beta == 0.0) continue;
      sum += beta / unit.norm[i];
      along += a[i] * (beta / unit.norm[i]);
      for (std::size_t j = 0; j < m; ++j) squared += beta * unit.c(i, j) * projector_.beta()[j];
    }
    const double length = std::sqrt(std::max(squared, 0.0));
    if (!feasible) {
      // A combination of the rows vanishes, to within what their Gram matrix can tell: its offset
      // is the highest level there is.
      const double highest = std::isnan(limits.stationary) ? along / sum : limits.stationary;
      reachable = !(highest < level);
      level = std::min(level, highest);
      bound = std::min(bound, level);
      stationary = true;
      continue;
    }
    const double dual = sum > 0 ? (along + r * length) / sum : level;
    bound = std::min(bound, dual);
    if (length <= r * (1.0 + 4 * kEpsilon) || !(dual < level)) {
      // On the sphere exactly, unless the highest level that exists lies inside the ball.
      inside_ = (stationary || level == limits.highest) && length < r;
      if (!inside_ && length > 0) stretch = r / length;
      break;
    }
    level = dual;
  }
  u_.resize(m);
  for (std::size_t i = 0; i < m; ++i) u_[i] = projector_.beta()[i] / unit.norm[i] * stretch;
  return bound;
}

}  // namespace detente::balance::internal
