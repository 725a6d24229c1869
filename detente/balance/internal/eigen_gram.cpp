// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>
#include <detente/balance/internal/eigen_gram.h>
#include <detente/balance/internal/unit_gram.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace detente::balance::internal {
namespace {

// Three shifts per eigenvalue are usual.
constexpr int kMaxShifts = 60;

// Rows x and y become c x − s y and s x + c y.
void rotate(std::size_t n, double c, double s, double* __restrict x, double* __restrict y) {
  for (std::size_t i = 0; i < n; ++i) {
    const double old = x[i];
    x[i] = c * old - s * y[i];
    y[i] = s * old + c * y[i];
  }
}

}  // namespace

// A = QTQᵀ: T in diagonal_ and beside_, the columns of Q in the rows of vectors_.
void EigenGram::reduce() {
  const std::size_t n = size();
  for (std::size_t k = 0; k + 1 < n; ++k) {
    diagonal_[k] = work_[k * n + k];
    // The reflection that takes row k beside the diagonal to a multiple of the first unit vector;
    // its unit vector v replaces that part of the row. A zero v is no reflection.
    double* v = &work_[k * n + k + 1];
    const std::size_t rest = n - k - 1;
    const double tail = dot(rest - 1, v + 1, v + 1);
    if (tail == 0.0) {
      beside_[k] = v[0];
      std::fill(v, v + rest, 0.0);
      continue;
    }
    const double length = std::sqrt(v[0] * v[0] + tail);
    beside_[k] = v[0] > 0 ? -length : length;
    v[0] -= beside_[k];
    const double scale = 1.0 / std::sqrt(v[0] * v[0] + tail);
    for (std::size_t i = 0; i < rest; ++i) v[i] *= scale;
    // (I − 2vvᵀ) A (I − 2vvᵀ) = A − vwᵀ − wvᵀ with w = 2(Av − (vᵀAv) v).
    double* w = product_.data();
    std::fill(w, w + rest, 0.0);
    for (std::size_t i = 0; i < rest; ++i) {
      add_multiple(rest, 2.0 * v[i], &work_[(k + 1 + i) * n + k + 1], w);
    }
    add_multiple(rest, -dot(rest, v, w), v, w);
    for (std::size_t i = 0; i < rest; ++i) {
      double* row = &work_[(k + 1 + i) * n + k + 1];
      const double a = v[i];
      const double b = w[i];
      for (std::size_t j = 0; j < rest; ++j) row[j] -= a * w[j] + b * v[j];
    }
  }
  diagonal_[n - 1] = work_[n * n - 1];
  beside_[n - 1] = 0.0;

  std::fill(vectors_.begin(), vectors_.end(), 0.0);
  for (std::size_t i = 0; i < n; ++i) vectors_[i * n + i] = 1.0;
  for (std::size_t k = n - 1; k-- > 0;) {
    const double* v = &work_[k * n + k + 1];
    for (std::size_t i = k + 1; i < n; ++i) {
      double* row = &vectors_[i * n + k + 1];
      add_multiple(n - k - 1, -2.0 * dot(n - k - 1, row, v), v, row);
    }
  }
}

// Rotates T to diagonal form and the rows of vectors_ with it.
void EigenGram::iterate() {
  const std::size_t n = size();
  for (std::size_t low = 0; low < n; ++low) {
    for (int shift = 0; shift < kMaxShifts; ++shift) {
      std::size_t high = low;
      while (high + 1 < n && std::abs(beside_[high]) > kEpsilon * (std::abs(diagonal_[high]) +
                                                                   std::abs(diagonal_[high + 1]))) {
        ++high;
      }
      if (high == low) break;
      // The eigenvalue of the leading 2×2 block that is nearer to its corner.
      const double half = (diagonal_[low + 1] - diagonal_[low]) / (2.0 * beside_[low]);
      const double root = std::sqrt(half * half + 1.0);
      const double corner = beside_[low] / (half + (half < 0 ? -root : root));
      double bulge = diagonal_[high] - diagonal_[low] + corner;
      double s = 1.0;
      double c = 1.0;
      double moved = 0.0;
      std::size_t i = high;
      bool split = false;
      while (i-- > low) {
        const double across = s * beside_[i];
        const double along = c * beside_[i];
        const double length = std::sqrt(across * across + bulge * bulge);
        beside_[i + 1] = length;
        if (length == 0.0) {
          diagonal_[i + 1] -= moved;
          split = true;
          break;
        }
        s = across / length;
        c = bulge / length;
        const double shifted = diagonal_[i + 1] - moved;
        const double turn = (diagonal_[i] - shifted) * s + 2.0 * c * along;
        moved = s * turn;
        diagonal_[i + 1] = shifted + moved;
        bulge = c * turn - along;
        rotate(n, c, s, &vectors_[i * n], &vectors_[(i + 1) * n]);
      }
      beside_[high] = 0.0;
      if (split) continue;
      diagonal_[low] -= moved;
      beside_[low] = bulge;
    }
  }
}

void EigenGram::resize(std::size_t n) {
  work_.resize(n * n);
  vectors_.resize(n * n);
  diagonal_.resize(n);
  beside_.resize(n);
  product_.resize(n);
  order_.resize(n);
}

void EigenGram::assign(const double* matrix, std::size_t n) {
  resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      work_[i * n + j] = 0.5 * (matrix[i * n + j] + matrix[j * n + i]);
    }
  }
  reduce();
  iterate();
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    return diagonal_[a] < diagonal_[b];
  });
  const double cut = static_cast<double>(n) * kEpsilon * value(n - 1);
  rank_ = static_cast<std::size_t>(
      std::count_if(diagonal_.begin(), diagonal_.end(), [&](double x) { return x > cut; }));
}

void EigenGram::pseudo_solve(const double* x, double* out) const {
  const std::size_t n = size();
  std::fill(out, out + n, 0.0);
  for (std::size_t i = n - rank_; i < n; ++i) {
    add_multiple(n, dot(n, vector(i), x) / value(i), vector(i), out);
  }
}

}  // namespace detente::balance::internal
