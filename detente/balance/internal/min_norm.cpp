// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/min_norm.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

constexpr double kNoise = 16 * kEpsilon;

// Gaussian elimination with partial pivoting on an n×(n+1) row-major system, solution in the last
// column. False when a pivot vanishes.
bool eliminate(std::vector<double>& a, std::size_t n) {
  const std::size_t width = n + 1;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i * width + k]) > std::abs(a[pivot * width + k])) pivot = i;
    }
    if (a[pivot * width + k] == 0.0) return false;
    if (pivot != k) {
      std::swap_ranges(&a[pivot * width + k], &a[pivot * width] + width, &a[k * width + k]);
    }
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = a[i * width + k] / a[k * width + k];
      if (factor == 0.0) continue;
      for (std::size_t j = k + 1; j < width; ++j) a[i * width + j] -= factor * a[k * width + j];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    double value = a[k * width + n];
    for (std::size_t j = k + 1; j < n; ++j) value -= a[k * width + j] * a[j * width + n];
    a[k * width + n] = value / a[k * width + k];
  }
  return true;
}

}  // namespace

bool MinNorm::face_minimum(const UnitGram& unit) {
  const std::size_t s = face_.size();
  const std::size_t width = s + 2;
  system_.assign((s + 1) * width, 0.0);
  for (std::size_t i = 0; i < s; ++i) {
    for (std::size_t j = 0; j < s; ++j) system_[i * width + j] = unit.c(face_[i], face_[j]);
    system_[i * width + s] = t_[face_[i]];
    system_[s * width + i] = t_[face_[i]];
  }
  system_[s * width + s + 1] = 1.0;
  if (!eliminate(system_, s + 1)) return false;
  y_.resize(s);
  for (std::size_t i = 0; i < s; ++i) {
    y_[i] = system_[i * width + s + 1];
    if (!std::isfinite(y_[i])) return false;
  }
  return true;
}

// The row with the least inner product against the optimality condition (Cβ)_i >= value t_i, or
// the number of rows when none violates it by more than rounding.
std::size_t MinNorm::worst_row(const UnitGram& unit, double value) const {
  std::size_t enter = unit.size();
  double worst = 0;
  for (std::size_t i = 0; i < unit.size(); ++i) {
    if (aside_[i] != 0 || beta_[i] > 0.0) continue;
    double a = 0;
    double size = value * t_[i];
    for (const std::size_t j : face_) {
      const double term = unit.c(i, j) * beta_[j];
      a += term;
      size += std::abs(term);
    }
    const double violation = value * t_[i] - a;
    if (violation > kNoise * size && violation > worst) {
      worst = violation;
      enter = i;
    }
  }
  return enter;
}

void MinNorm::reserve(std::size_t m) {
  blocks_.reserve(m);
  for (auto* indices : {&face_, &old_face_}) indices->reserve(m);
  for (auto* numbers : {&beta_, &old_beta_, &t_, &y_}) numbers->reserve(m);
  aside_.reserve(m);
  system_.reserve((m + 1) * (m + 2));
}

int MinNorm::solve(const UnitGram& unit, std::vector<double>& w) {
  const std::size_t m = unit.size();
  reserve(m);
  const std::size_t start = static_cast<std::size_t>(
      std::min_element(unit.norm.begin(), unit.norm.end()) - unit.norm.begin());
  t_.resize(m);
  for (std::size_t i = 0; i < m; ++i) t_[i] = unit.norm[start] / unit.norm[i];
  const int pivots =
      blocks_.solve(unit, t_, beta_) ? blocks_.pivots() : solve_row_by_row(unit, start);
  w.resize(m);
  double sum = 0;
  for (std::size_t i = 0; i < m; ++i) {
    w[i] = beta_[i] * t_[i];
    sum += w[i];
  }
  for (double& x : w) x /= sum;
  return pivots;
}

int MinNorm::solve_row_by_row(const UnitGram& unit, std::size_t start) {
  const std::size_t m = unit.size();
  beta_.assign(m, 0.0);
  beta_[start] = 1.0;
  face_.assign(1, start);
  aside_.assign(m, 0);

  int pivots = 0;
  const int limit = 200 + 50 * static_cast<int>(m);
  double value = 1.0;  // βᵀCβ
  std::size_t stalls = 0;
  while (pivots < limit) {
    const std::size_t enter = worst_row(unit, value);
    if (enter == m) break;
    old_face_ = face_;
    old_beta_ = beta_;
    face_.push_back(enter);
    bool reached = false;  // the minimum over the face's affine hull lies inside the face
    while (!face_.empty()) {
      ++pivots;
      if (!face_minimum(unit)) break;
      double step = 1.0;
      std::size_t blocking = face_.size();
      for (std::size_t i = 0; i < face_.size(); ++i) {
        if (y_[i] > 0.0) continue;
        const double b = beta_[face_[i]];
        const double limit_i = b > 0.0 ? b / (b - y_[i]) : 0.0;
        if (blocking == face_.size() || limit_i < step) {
          step = limit_i;
          blocking = i;
        }
      }
      for (std::size_t i = 0; i < face_.size(); ++i) {
        double& b = beta_[face_[i]];
        b = step >= 1.0 ? y_[i] : std::max(0.0, b + step * (y_[i] - b));
      }
      if (blocking == face_.size()) {
        reached = true;
        break;
      }
      beta_[face_[blocking]] = 0.0;
      std::erase_if(face_, [&](std::size_t row) { return beta_[row] == 0.0; });
    }
    double next = 0;
    for (const std::size_t i : face_) {
      for (const std::size_t j : face_) next += beta_[i] * unit.c(i, j) * beta_[j];
    }
    next = std::max(next, 0.0);
    // A row of much larger norm enters with a weight too small to show in the value, so standing
    // still is allowed, but not for ever.
    stalls = next < value ? 0 : stalls + 1;
    if (reached && (next < value || (next == value && stalls <= m))) {
      value = next;
      if (stalls == 0) aside_.assign(m, 0);
    } else {  // entering this row leads nowhere from here: the violation is rounding
      face_ = old_face_;
      beta_ = old_beta_;
      aside_[enter] = 1;
    }
  }
  return pivots;
}

}  // namespace detente::balance::internal
