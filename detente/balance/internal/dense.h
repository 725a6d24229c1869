// SPDX-License-Identifier: Apache-2.0
// Small dense linear algebra on row-major arrays, in the order of loops that compilers turn into
// vector instructions without reordering sums: the results are the same on every machine.
#pragma once

#include <cstddef>

namespace detente::balance::internal {

// y += a x.
inline void add_multiple(std::size_t n,
                         double a,
                         const double* __restrict x,
                         double* __restrict y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

inline double dot(std::size_t n, const double* __restrict x, const double* __restrict y) {
  double sums[4] = {0, 0, 0, 0};
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (std::size_t j = 0; j < 4; ++j) sums[j] += x[i + j] * y[i + j];
  }
  for (; i < n; ++i) sums[0] += x[i] * y[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Replaces the upper triangle of the symmetric n×n matrix `a` (rows `stride` apart; the lower one
// is not read) by U with UᵀU = a. Returns the smallest pivot u_ii²; when it is not above `least`,
// the factor is unfinished.
double factor_cholesky(std::size_t n, double* a, std::size_t stride, double least);
// `least` for a unit diagonal: squared pivots below it leave the factor too few digits.
inline constexpr double kDependent = 1e-8;

// x ← (UᵀU)⁻¹ x.
void solve_cholesky(std::size_t n, const double* u, std::size_t stride, double* x);

// inverse ← (UᵀU)⁻¹, all of it, rows n apart; `work` holds n×n numbers as well.
void invert_cholesky(
    std::size_t n, const double* u, std::size_t stride, double* work, double* inverse);

// y += Σ x_i a_i over the `count` rows a_i = a + rows[i] n of length n.
void add_rows(std::size_t n,
              const double* a,
              std::size_t count,
              const std::size_t* rows,
              const double* x,
              double* y);

// y = Ax for the n×n matrix A = Aᵀ, and the terms that form each sum: size_i = Σ_j |A_ij x_j|.
void multiply_with_sizes(std::size_t n, const double* a, const double* x, double* y, double* size);

// Sweeps of coordinate descent on ½βᵀAβ − hᵀβ over β >= 0 for a unit diagonal; `slack` holds Aβ − h
// before and after.
void descend(std::size_t n, const double* a, int sweeps, double* beta, double* slack);

}  // namespace detente::balance::internal
