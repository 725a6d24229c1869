// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/block_pivots.h>
#include <detente/balance/internal/dense.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

// A residual below this, relative to the largest of those terms, needs no correction.
constexpr double kRounding = 2 * kEpsilon;
// Sweeps of coordinate descent for the first guess; each costs less than a factor.
constexpr int kSweeps = 3;
constexpr int kMaxRounds = 40;
// Rounds without progress before rows are exchanged one by one, which cannot go round.
constexpr int kPatience = 3;

}  // namespace

void BlockPivots::guess(const UnitGram& unit,
                        const std::vector<double>& h,
                        std::vector<double>& beta) {
  const std::size_t m = unit.size();
  beta.assign(m, 0.0);
  slack_.resize(m);
  bool any = false;
  for (std::size_t i = 0; i < m; ++i) {
    slack_[i] = -h[i];
    any = any || h[i] > 0;
  }
  if (!any) return;
  descend(m, unit.cosine.data(), kSweeps, beta.data(), slack_.data());
}

// C_SS β_S = h_S, and the slacks of all rows. False when the rows nearly depend on each other.
bool BlockPivots::solve_active(const UnitGram& unit, const std::vector<double>& h) {
  const std::size_t m = unit.size();
  const std::size_t s = active_.size();
  for (std::size_t i = 0; i < s; ++i) {
    const double* row = &unit.cosine[active_[i] * m];
    for (std::size_t j = i; j < s; ++j) factor_[i * s + j] = row[active_[j]];
    x_[i] = h[active_[i]];
  }
  if (s > 0 && !(factor_cholesky(s, factor_.data(), s, kDependent) > kDependent)) return false;
  solve_cholesky(s, factor_.data(), s, x_.data());
  sum_ = 0;
  for (std::size_t i = 0; i < m; ++i) slack_[i] = -h[i];
  for (std::size_t i = 0; i < s; ++i) sum_ += std::abs(x_[i]);
  add_rows(m, unit.cosine.data(), s, active_.data(), x_.data(), slack_.data());
  return true;
}

bool BlockPivots::violated(const UnitGram& unit,
                           const std::vector<double>& h,
                           std::size_t row) const {
  const double slack = slack_[row];
  if (slack >= 0) return false;
  if (slack < -kViolation * (sum_ + std::abs(h[row]))) return true;
  double size = std::abs(h[row]);
  for (std::size_t i = 0; i < active_.size(); ++i) {
    size += std::abs(unit.c(row, active_[i]) * x_[i]);
  }
  return slack < -kViolation * size;
}

// One correction with the residual that is there anyway, if it is more than rounding.
void BlockPivots::refine(const std::vector<double>& h, std::vector<double>& beta) {
  const std::size_t s = active_.size();
  std::fill(beta.begin(), beta.end(), 0.0);
  bool exact = true;
  for (std::size_t i = 0; i < s; ++i) {
    const std::size_t row = active_[i];
    beta[row] = x_[i];
    exact = exact && std::abs(slack_[row]) <= kRounding * std::max(std::abs(h[row]), x_[i]);
  }
  if (exact) return;
  for (std::size_t i = 0; i < s; ++i) x_[i] = -slack_[active_[i]];
  solve_cholesky(s, factor_.data(), s, x_.data());
  for (std::size_t i = 0; i < s; ++i) {
    const double value = beta[active_[i]] + x_[i];
    if (value >= 0) beta[active_[i]] = value;
  }
}

void BlockPivots::solve_factor(double* x) const {
  solve_cholesky(active_.size(), factor_.data(), active_.size(), x);
}

void BlockPivots::reserve(std::size_t m) {
  for (auto* rows : {&active_, &wrong_}) rows->reserve(m);
  for (auto* numbers : {&x_, &slack_}) numbers->reserve(m);
  in_.reserve(m);
  factor_.reserve(m * m);
}

bool BlockPivots::solve(const UnitGram& unit,
                        const std::vector<double>& h,
                        std::vector<double>& beta) {
  const std::size_t m = unit.size();
  factor_.resize(m * m);
  x_.resize(m);
  in_.resize(m);
  reserve(m);
  pivots_ = 0;
  guess(unit, h, beta);
  for (std::size_t i = 0; i < m; ++i) {
    in_[i] = beta[i] > 0 ? 1 : 0;
    pivots_ += in_[i];
  }
  std::size_t fewest = m + 1;
  int patience = kPatience;
  for (int round = 0; round < kMaxRounds; ++round) {
    // Without branches: which rows are active cannot be predicted.
    active_.resize(m);
    std::size_t count = 0;
    for (std::size_t i = 0; i < m; ++i) {
      active_[count] = i;
      count += in_[i] != 0 ? 1 : 0;
    }
    active_.resize(count);
    if (!solve_active(unit, h)) return false;
    for (std::size_t i = 0; i < count; ++i) beta[active_[i]] = x_[i];
    wrong_.resize(m);
    count = 0;
    for (std::size_t i = 0; i < m; ++i) {
      wrong_[count] = i;
      const double value = in_[i] != 0 ? beta[i] : slack_[i];
      count += value >= 0 ? 0 : 1;
    }
    wrong_.resize(count);
    wrong_.erase(
        std::remove_if(wrong_.begin(),
                       wrong_.end(),
                       [&](std::size_t i) { return in_[i] == 0 && !violated(unit, h, i); }),
        wrong_.end());
    if (wrong_.empty()) {
      refine(h, beta);
      return true;
    }
    if (wrong_.size() < fewest) {
      fewest = wrong_.size();
      patience = kPatience;
    } else {
      --patience;
    }
    if (patience < 0) wrong_.erase(wrong_.begin(), wrong_.end() - 1);
    for (const std::size_t row : wrong_) in_[row] ^= 1;
    pivots_ += static_cast<int>(wrong_.size());
  }
  return false;
}

}  // namespace detente::balance::internal
