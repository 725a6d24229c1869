// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/linear_program.h>

#include <algorithm>
#include <cmath>

namespace detente::balance::internal {
namespace {

// Of rows whose largest entry is 1: in units of the largest x, and of the row.
constexpr double kFeasible = 1e-13;
constexpr double kPivot = 1e-11;
constexpr int kRestarts = 20;

double largest_of(const double* first, std::size_t count) {
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(first[i]));
  return largest > 0 ? largest : 1.0;
}

}  // namespace

void SimplexProgram::reserve(std::size_t variables, std::size_t rows) {
  c_.reserve(variables);
  t_.reserve(variables);
  x_.reserve(variables);
  wanted_.reserve(variables + rows);
  others_.reserve(variables);
  a_.reserve(rows * variables);
  y_.reserve(rows);
  row_scale_.reserve(rows);
  basic_.reserve(rows + 1);
  table_.reserve((rows + 2) * variables);
}

void SimplexProgram::scale(const std::vector<double>& c,
                           const std::vector<double>& a,
                           const std::vector<double>& t) {
  n_ = c.size();
  m_ = a.size() / n_;
  width_ = n_;  // the value and n - 1 coefficients
  c_scale_ = largest_of(c.data(), n_);
  c_.assign(c.begin(), c.end());
  for (double& x : c_) x /= c_scale_;
  a_.assign(a.begin(), a.end());
  row_scale_.resize(m_);
  for (std::size_t i = 0; i < m_; ++i) {
    row_scale_[i] = largest_of(&a_[i * n_], n_);
    for (std::size_t j = 0; j < n_; ++j) a_[i * n_ + j] /= row_scale_[i];
  }
  if (t.empty()) {
    t_.assign(n_, 1.0);
  } else {
    t_.assign(t.begin(), t.end());
  }
}

std::size_t SimplexProgram::best_corner() const {
  std::size_t best = 0;
  for (std::size_t j = 1; j < n_; ++j) {
    if (c_[j] / t_[j] > c_[best] / t_[best]) best = j;
  }
  return best;
}

void SimplexProgram::start(std::size_t corner) {
  table_.assign((m_ + 2) * width_, 0.0);
  basic_.assign(1, corner);
  others_.clear();
  for (std::size_t j = 0; j < n_; ++j) {
    if (j != corner) others_.push_back(j);
  }
  const double x = 1.0 / t_[corner];
  at(0, 0) = x;
  at(m_ + 1, 0) = c_[corner] * x;
  for (std::size_t i = 0; i < m_; ++i) {
    basic_.push_back(n_ + i);
    at(i + 1, 0) = a_[i * n_ + corner] * x;
  }
  for (std::size_t column = 1; column < width_; ++column) {
    const std::size_t j = others_[column - 1];
    const double exchange = t_[j] * x;
    at(0, column) = -exchange;
    at(m_ + 1, column) = c_[j] - c_[corner] * exchange;
    for (std::size_t i = 0; i < m_; ++i) {
      at(i + 1, column) = a_[i * n_ + j] - a_[i * n_ + corner] * exchange;
    }
  }
}

// The table of the present basis, anew: from its corner of the largest t (the others have larger
// numbers, whose rounding would stay) by elimination with complete pivoting.
void SimplexProgram::restart() {
  wanted_.assign(n_ + m_, 0);  // x that are basic, slacks that are not
  std::size_t corner = n_;
  for (const std::size_t variable : basic_) {
    if (variable >= n_) continue;
    wanted_[variable] = 1;
    if (corner == n_ || t_[variable] > t_[corner]) corner = variable;
  }
  for (const std::size_t variable : others_) {
    if (variable >= n_) wanted_[variable] = 1;
  }
  const int before = pivots_;
  start(corner);
  for (;;) {
    std::size_t row = 0;
    std::size_t column = 0;
    double largest = 0;
    for (std::size_t r = 1; r <= m_; ++r) {
      if (basic_[r] < n_ || wanted_[basic_[r]] == 0) continue;
      for (std::size_t c = 1; c < width_; ++c) {
        if (others_[c - 1] >= n_ || wanted_[others_[c - 1]] == 0) continue;
        if (std::abs(at(r, c)) <= largest) continue;
        largest = std::abs(at(r, c));
        row = r;
        column = c;
      }
    }
    if (largest == 0.0) break;
    pivot(row, column);
  }
  pivots_ = before;
}

// Bland: the infeasible basic variable of the lowest number, or the number of rows.
std::size_t SimplexProgram::leaving() const {
  double largest = 0;
  for (std::size_t r = 0; r <= m_; ++r) {
    if (basic_[r] < n_) largest = std::max(largest, table_[r * width_]);
  }
  std::size_t row = m_ + 1;
  for (std::size_t r = 0; r <= m_; ++r) {
    if (table_[r * width_] >= -kFeasible * largest) continue;
    if (row == m_ + 1 || basic_[r] < basic_[row]) row = r;
  }
  return row;
}

// The least ratio keeps the dual feasible; Bland breaks ties. 0 when the row cannot be repaired.
std::size_t SimplexProgram::entering(std::size_t row) const {
  std::size_t best = 0;
  double least = 0;
  for (std::size_t column = 1; column < width_; ++column) {
    const double coefficient = table_[row * width_ + column];
    if (coefficient <= kPivot) continue;
    const double ratio = std::max(0.0, -table_[(m_ + 1) * width_ + column]) / coefficient;
    const bool tie = best != 0 && ratio == least && others_[column - 1] < others_[best - 1];
    if (best == 0 || ratio < least || tie) {
      best = column;
      least = ratio;
    }
  }
  return best;
}

void SimplexProgram::pivot(std::size_t row, std::size_t column) {
  const double inverse = 1.0 / at(row, column);
  for (std::size_t c = 0; c < width_; ++c) {
    if (c != column) at(row, c) *= -inverse;
  }
  at(row, column) = inverse;
  for (std::size_t r = 0; r <= m_ + 1; ++r) {
    if (r == row) continue;
    const double factor = at(r, column);
    if (factor == 0.0) continue;
    for (std::size_t c = 0; c < width_; ++c) {
      if (c != column) at(r, c) += factor * at(row, c);
    }
    at(r, column) = factor * inverse;
  }
  std::swap(basic_[row], others_[column - 1]);
  ++pivots_;
}

void SimplexProgram::read() {
  x_.assign(n_, 0.0);
  double sum = 0;
  for (std::size_t r = 0; r <= m_; ++r) {
    if (basic_[r] >= n_) continue;
    x_[basic_[r]] = std::max(0.0, at(r, 0));
    sum += t_[basic_[r]] * x_[basic_[r]];
  }
  for (double& x : x_) x /= sum;
  y_.assign(m_, 0.0);
  for (std::size_t column = 1; column < width_; ++column) {
    const std::size_t variable = others_[column - 1];
    if (variable < n_) continue;
    const std::size_t i = variable - n_;
    y_[i] = std::max(0.0, -at(m_ + 1, column)) * (c_scale_ / row_scale_[i]);
  }
}

bool SimplexProgram::solve(const std::vector<double>& c,
                           const std::vector<double>& a,
                           const std::vector<double>& t) {
  scale(c, a, t);
  start(best_corner());
  pivots_ = 0;
  const int limit = 1000 + 200 * static_cast<int>(n_ + m_);
  int restarts = 0;
  bool fresh = true;
  while (pivots_ < limit) {
    const std::size_t row = leaving();
    const std::size_t column = row > m_ ? 0 : entering(row);
    if (column > 0) {
      pivot(row, column);
      fresh = false;
    } else if (fresh || restarts == kRestarts) {
      if (row > m_) read();
      return row > m_;
    } else {  // done, or so it seems
      restart();
      ++restarts;
      fresh = true;
    }
  }
  return false;
}

double SimplexProgram::certificate() const {
  double worst = 0;
  double value = 0;
  double size = 0;
  for (std::size_t j = 0; j < n_; ++j) {
    value += c_[j] * x_[j];
    size += std::abs(c_[j]) * x_[j];
  }
  for (std::size_t i = 0; i < m_; ++i) {
    const double y = y_[i] * (row_scale_[i] / c_scale_);
    double slack = 0;
    double terms = 0;
    for (std::size_t j = 0; j < n_; ++j) {
      slack += a_[i * n_ + j] * x_[j];
      terms += std::abs(a_[i * n_ + j]) * x_[j];
    }
    if (slack < 0) worst = std::max(worst, -slack / terms);
    size += y * terms;
  }
  double bound = 0;
  double bound_size = 0;
  for (std::size_t j = 0; j < n_; ++j) {
    double sum = c_[j];
    double terms = std::abs(c_[j]);
    for (std::size_t i = 0; i < m_; ++i) {
      const double term = y_[i] * (row_scale_[i] / c_scale_) * a_[i * n_ + j];
      sum += term;
      terms += std::abs(term);
    }
    if (j == 0 || sum / t_[j] > bound) {
      bound = sum / t_[j];
      bound_size = terms / t_[j];
    }
  }
  size += bound_size;
  return size > 0 ? std::max(worst, std::abs(bound - value) / size) : worst;
}

}  // namespace detente::balance::internal
