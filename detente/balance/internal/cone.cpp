// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/cone.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance::internal {
namespace {

// A dependent row whose violation is smaller than this is set aside rather than called a proof
// that nothing satisfies all rows.
constexpr double kContradiction = 1e-10;

}  // namespace

// Appends `row` to the factor of the active rows and returns the squared pivot (what is left of
// the row beside them); the caller pushes the row to active_.
double ConeProjector::append_factor(const UnitGram& unit, std::size_t row) {
  const std::size_t s = active_.size();
  double* last = &factor_[s * stride_];
  double pivot = 1.0;
  for (std::size_t i = 0; i < s; ++i) {
    double value = unit.c(row, active_[i]);
    for (std::size_t j = 0; j < i; ++j) value -= last[j] * factor_[i * stride_ + j];
    last[i] = value / factor_[i * stride_ + i];
    pivot -= last[i] * last[i];
  }
  last[s] = std::sqrt(std::max(pivot, kEpsilon));
  return pivot;
}

void ConeProjector::remove(const UnitGram& unit, std::size_t position) {
  moved_.assign(active_.begin() + static_cast<std::ptrdiff_t>(position) + 1, active_.end());
  active_.resize(position);
  for (const std::size_t row : moved_) {
    append_factor(unit, row);
    active_.push_back(row);
  }
}

void ConeProjector::solve_factor(std::vector<double>& x) const {
  const std::size_t s = active_.size();
  for (std::size_t i = 0; i < s; ++i) {
    for (std::size_t j = 0; j < i; ++j) x[i] -= factor_[i * stride_ + j] * x[j];
    x[i] /= factor_[i * stride_ + i];
  }
  for (std::size_t i = s; i-- > 0;) {
    for (std::size_t j = i + 1; j < s; ++j) x[i] -= factor_[j * stride_ + i] * x[j];
    x[i] /= factor_[i * stride_ + i];
  }
}

// The pivots accumulate rounding in β; solving C_SS β_S = h_S afresh, corrected once, removes it.
void ConeProjector::refine(const UnitGram& unit, const std::vector<double>& h) {
  const std::size_t s = active_.size();
  if (s == 0) return;
  r_.resize(s);
  for (std::size_t i = 0; i < s; ++i) r_[i] = beta_[active_[i]];
  for (int round = 0; round < 2; ++round) {
    x_.resize(s);
    for (std::size_t i = 0; i < s; ++i) {
      double residual = h[active_[i]];
      for (std::size_t j = 0; j < s; ++j) residual -= unit.c(active_[i], active_[j]) * r_[j];
      x_[i] = residual;
    }
    solve_factor(x_);
    for (std::size_t i = 0; i < s; ++i) r_[i] += x_[i];
  }
  for (const double value : r_) {
    if (!(value >= 0.0)) return;
  }
  for (std::size_t i = 0; i < s; ++i) beta_[active_[i]] = r_[i];
}

void ConeProjector::reserve(std::size_t m) {
  blocks_.reserve(m);
  for (auto* indices : {&active_, &moved_}) indices->reserve(m);
  for (auto* numbers : {&beta_, &r_, &x_}) numbers->reserve(m);
  aside_.reserve(m);
  factor_.reserve(m * m);
}

bool ConeProjector::solve(const UnitGram& unit, const std::vector<double>& h, bool feasible) {
  const std::size_t m = unit.size();
  reserve(m);
  factor_.resize(m * m);
  if (blocks_.solve(unit, h, beta_)) {
    pivots_ = blocks_.pivots();
    return true;
  }
  return solve_row_by_row(unit, h, feasible);
}

bool ConeProjector::solve_row_by_row(const UnitGram& unit,
                                     const std::vector<double>& h,
                                     bool feasible) {
  const std::size_t m = unit.size();
  stride_ = m;
  beta_.assign(m, 0.0);
  aside_.assign(m, 0);
  active_.clear();
  pivots_ = 0;
  const int limit = 200 + 50 * static_cast<int>(m);
  while (pivots_ < limit) {
    std::size_t enter = m;
    double slack = 0;
    double enter_size = 0;
    for (std::size_t i = 0; i < m; ++i) {
      if (aside_[i] != 0 || beta_[i] > 0.0) continue;
      double value = -h[i];
      double size = std::abs(h[i]);
      for (std::size_t j = 0; j < m; ++j) {
        if (beta_[j] == 0.0) continue;
        const double term = unit.c(i, j) * beta_[j];
        value += term;
        size += std::abs(term);
      }
      if (value < -kViolation * size && value < slack) {
        slack = value;
        enter = i;
        enter_size = size;
      }
    }
    if (enter == m) break;
    double entering = 0;
    for (;;) {
      ++pivots_;
      // r: how the entering row is made of the active ones; pivot: what is left of it, squared.
      const std::size_t s = active_.size();
      const double pivot = append_factor(unit, enter);
      r_.resize(s);
      for (std::size_t i = 0; i < s; ++i) r_[i] = unit.c(enter, active_[i]);
      solve_factor(r_);
      // The factor is exact for a matrix that differs from C by rounding, which changes the pivot
      // by that rounding times the squared length of (-r, 1).
      double amplification = 1.0;
      for (const double x : r_) amplification += x * x;
      const double rounding = 8 * static_cast<double>(s + 1) * kEpsilon;
      const bool dependent = pivot <= rounding * amplification;
      const double negligible = rounding * std::sqrt(amplification);
      double step = dependent ? std::numeric_limits<double>::infinity() : -slack / pivot;
      std::size_t leaving = s;
      for (std::size_t i = 0; i < s; ++i) {
        if (r_[i] <= negligible) continue;
        const double bound = beta_[active_[i]] / r_[i];
        if (bound < step) {
          step = bound;
          leaving = i;
        }
      }
      if (dependent && leaving == s) {
        if (feasible || -slack <= kContradiction * enter_size || pivots_ >= limit) {
          beta_[enter] = entering;
          aside_[enter] = 1;
          break;
        }
        beta_.assign(m, 0.0);
        beta_[enter] = 1.0;
        for (std::size_t i = 0; i < s; ++i) beta_[active_[i]] = std::max(0.0, -r_[i]);
        return false;
      }
      for (std::size_t i = 0; i < s; ++i) {
        double& b = beta_[active_[i]];
        b = std::max(0.0, b - step * r_[i]);
      }
      entering += step;
      slack += step * std::max(pivot, 0.0);
      if (leaving == s) {
        beta_[enter] = entering;
        active_.push_back(enter);
        break;
      }
      beta_[active_[leaving]] = 0.0;
      remove(unit, leaving);
      if (pivots_ >= limit) break;
    }
  }
  refine(unit, h);
  return true;
}

}  // namespace detente::balance::internal
