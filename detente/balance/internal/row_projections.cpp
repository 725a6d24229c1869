// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>
#include <detente/balance/internal/row_projections.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

constexpr double kCertain = 2 * kEpsilon;      // certificates up to here need no correction
constexpr double kGoodEnough = 16 * kEpsilon;  // above it the direct way may do better

}  // namespace

void RowProjections::begin(const UnitGram& unit) {
  const std::size_t m = unit.size();
  blocks_.reserve(m);
  inverse_.norm.resize(m);
  inverse_.rows.resize(m);
  inverse_.cosine.resize(m * m);
  factor_.resize(m * m);
  work_.resize(m * m);
  free_.resize(m);
  for (auto* numbers : {&h_, &y_, &w_, &inner_, &size_}) numbers->resize(m);
  first_ = true;
  inverted_ = false;
}

void RowProjections::invert(const UnitGram& unit) {
  const std::size_t m = unit.size();
  std::copy(unit.cosine.begin(), unit.cosine.end(), factor_.begin());
  if (!(factor_cholesky(m, factor_.data(), m, kDependent) > kDependent)) return;
  auto& q = inverse_.cosine;
  invert_cholesky(m, factor_.data(), m, work_.data(), q.data());
  for (std::size_t i = 0; i < m; ++i) inverse_.norm[i] = std::sqrt(q[i * m + i]);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < m; ++j) q[i * m + j] /= inverse_.norm[i] * inverse_.norm[j];
    q[i * m + i] = 1.0;
  }
  inverted_ = true;
}

double RowProjections::certificate(const UnitGram& unit, std::size_t row) {
  const std::size_t m = unit.size();
  multiply_with_sizes(m, unit.cosine.data(), w_.data(), inner_.data(), size_.data());
  double worst = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const bool pushed = w_[i] > (i == row ? 1.0 : 0.0);
    const double wrong = pushed ? std::abs(inner_[i]) : -inner_[i];
    if (wrong > 0) worst = std::max(worst, wrong / size_[i]);
  }
  return worst;
}

// w −= (C_SS)⁻¹ (Cw)_S on the active rows S, by the inverse: Cδ is (Cw)_S on S, and what it is on
// the other rows follows from δ = 0 there.
void RowProjections::correct(std::size_t row) {
  const std::size_t m = w_.size();
  const auto& others = blocks_.active();
  for (std::size_t i = 0; i < m; ++i) {
    h_[i] = free_[i] == 0 ? inner_[i] * inverse_.norm[i] : 0.0;
  }
  multiply_with_sizes(m, inverse_.cosine.data(), h_.data(), inner_.data(), size_.data());
  for (std::size_t i = 0; i < others.size(); ++i) y_[i] = -inner_[others[i]];
  blocks_.solve_factor(y_.data());
  add_rows(m, inverse_.cosine.data(), others.size(), others.data(), y_.data(), inner_.data());
  for (std::size_t i = 0; i < m; ++i) {
    if (free_[i] != 0) continue;
    w_[i] = std::max(w_[i] - inner_[i] * inverse_.norm[i], i == row ? 1.0 : 0.0);
  }
}

bool RowProjections::apply_inverse(const UnitGram& unit, std::size_t row) {
  const std::size_t m = unit.size();
  std::fill(h_.begin(), h_.end(), 0.0);
  h_[row] = 1.0 / inverse_.norm[row];
  if (!blocks_.solve(inverse_, h_, y_)) return false;
  pivots_ = blocks_.pivots();
  const auto& others = blocks_.active();
  std::fill(free_.begin(), free_.end(), 0);
  for (std::size_t i = 0; i < others.size(); ++i) {
    free_[others[i]] = 1;
    h_[i] = y_[others[i]];
  }
  std::fill(w_.begin(), w_.end(), 0.0);
  add_rows(m, inverse_.cosine.data(), others.size(), others.data(), h_.data(), w_.data());
  for (std::size_t i = 0; i < m; ++i) {
    const double least = i == row ? 1.0 : 0.0;
    w_[i] = free_[i] != 0 ? least : std::max(w_[i] * inverse_.norm[i], least);
  }
  certificate_ = certificate(unit, row);
  if (certificate_ > kCertain) {
    correct(row);
    certificate_ = certificate(unit, row);
  }
  return certificate_ <= kGoodEnough;
}

double RowProjections::apply(const UnitGram& unit, std::size_t row, std::vector<double>& v) {
  const std::size_t m = unit.size();
  if (inverted_ && apply_inverse(unit, row)) {
    v.resize(m);
    for (std::size_t i = 0; i < m; ++i) v[i] = w_[i] * unit.norm[row] / unit.norm[i];
    v[row] = w_[row];
    return certificate_;
  }
  v.assign(m, 0.0);
  v[row] = 1.0;
  const double certificate = projection_.apply(unit, v);
  pivots_ = projection_.pivots();
  if (first_ && 3 * projection_.active() > 2 * m) invert(unit);
  first_ = false;
  return certificate;
}

}  // namespace detente::balance::internal
