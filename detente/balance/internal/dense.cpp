// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace detente::balance::internal {
namespace {

// y −= a₀x₀ + a₁x₁ + a₂x₂ + a₃x₃ with x_i = x + i stride: y passes through memory once.
void subtract_four(std::size_t n,
                   const double* a,
                   std::size_t a_stride,
                   const double* __restrict x,
                   std::size_t stride,
                   double* __restrict y) {
  const double a0 = a[0];
  const double a1 = a[a_stride];
  const double a2 = a[2 * a_stride];
  const double a3 = a[3 * a_stride];
  const double* __restrict x1 = x + stride;
  const double* __restrict x2 = x1 + stride;
  const double* __restrict x3 = x2 + stride;
  for (std::size_t i = 0; i < n; ++i) {
    y[i] -= (a0 * x[i] + a1 * x1[i]) + (a2 * x2[i] + a3 * x3[i]);
  }
}

}  // namespace

double factor_cholesky(std::size_t n, double* a, std::size_t stride, double least) {
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < n; ++k) {
    double* row = a + k * stride;
    std::size_t i = 0;
    for (; i + 4 <= k; i += 4) {
      const double* above = a + i * stride + k;
      subtract_four(n - k, above, stride, above, stride, row + k);
    }
    for (; i < k; ++i) {
      const double* above = a + i * stride + k;
      add_multiple(n - k, -above[0], above, row + k);
    }
    const double pivot = row[k];
    smallest = std::min(smallest, pivot);
    if (!(pivot > least)) return pivot;
    const double scale = 1.0 / std::sqrt(pivot);
    for (std::size_t j = k; j < n; ++j) row[j] *= scale;
  }
  return smallest;
}

void solve_cholesky(std::size_t n, const double* u, std::size_t stride, double* x) {
  for (std::size_t k = 0; k < n; ++k) {
    const double* row = u + k * stride;
    x[k] /= row[k];
    add_multiple(n - k - 1, -x[k], row + k + 1, x + k + 1);
  }
  for (std::size_t k = n; k-- > 0;) {
    const double* row = u + k * stride;
    x[k] = (x[k] - dot(n - k - 1, row + k + 1, x + k + 1)) / row[k];
  }
}

}  // namespace detente::balance::internal
