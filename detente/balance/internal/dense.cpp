// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/dense.h>

#include <algorithm>
#include <cmath>
#include <limits>

// The same loops compiled for wider vectors and chosen at load time; not in the module `simd`, which
// `balance` does without: matrices of some tens of rows, half of a solve's time, gain nothing from
// 64 bytes. AVX2 without fused multiply-adds, which would round differently: a solve gives the same
// bits everywhere. The thread sanitizer cannot choose at load time.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define DETENTE_DENSE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define DETENTE_DENSE_CLONES
#endif

namespace detente::balance::internal {
namespace {

// y −= a₀x₀ + a₁x₁ + a₂x₂ + a₃x₃ with x_i = x + i stride: y passes through memory once.
inline void subtract_four(std::size_t n,
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

// y += a₀x₀ + a₁x₁ + a₂x₂ + a₃x₃.
inline void add_four(std::size_t n,
                     const double* a,
                     const double* __restrict x0,
                     const double* __restrict x1,
                     const double* __restrict x2,
                     const double* __restrict x3,
                     double* __restrict y) {
  const double a0 = a[0];
  const double a1 = a[1];
  const double a2 = a[2];
  const double a3 = a[3];
  for (std::size_t i = 0; i < n; ++i) {
    y[i] += (a0 * x0[i] + a1 * x1[i]) + (a2 * x2[i] + a3 * x3[i]);
  }
}

// y += a₀x₀ + a₁x₁ for the rows x₀ and x₁ = x₀ + n, and their sizes.
inline void add_two_with_sizes(std::size_t n,
                               const double* a,
                               const double* __restrict x,
                               double* __restrict y,
                               double* __restrict size) {
  const double a0 = a[0];
  const double a1 = a[1];
  const double* __restrict x1 = x + n;
  for (std::size_t i = 0; i < n; ++i) {
    const double first = a0 * x[i];
    const double second = a1 * x1[i];
    y[i] += first + second;
    size[i] += std::abs(first) + std::abs(second);
  }
}

}  // namespace

DETENTE_DENSE_CLONES
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

DETENTE_DENSE_CLONES
void solve_cholesky(std::size_t n, const double* u, std::size_t stride, double* x) {
  for (std::size_t k = 0; k < n; ++k) {
    const double* row = u + k * stride;
    x[k] *= 1.0 / row[k];  // the division does not wait for x
    add_multiple(n - k - 1, -x[k], row + k + 1, x + k + 1);
  }
  for (std::size_t k = n; k-- > 0;) {
    const double* row = u + k * stride;
    x[k] = (x[k] - dot(n - k - 1, row + k + 1, x + k + 1)) * (1.0 / row[k]);
  }
}

DETENTE_DENSE_CLONES
void invert_cholesky(
    std::size_t n, const double* u, std::size_t stride, double* work, double* inverse) {
  std::fill(work, work + n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {  // row i of U⁻¹
    double* row = work + i * n;
    row[i] = 1.0;
    for (std::size_t k = i; k < n; ++k) {
      const double* factor = u + k * stride;
      row[k] *= 1.0 / factor[k];
      add_multiple(n - k - 1, -row[k], factor + k + 1, row + k + 1);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double value = dot(n - i, work + i * n + i, work + j * n + i);
      inverse[i * n + j] = value;
      inverse[j * n + i] = value;
    }
  }
}

DETENTE_DENSE_CLONES
void add_rows(std::size_t n,
              const double* a,
              std::size_t count,
              const std::size_t* rows,
              const double* x,
              double* y) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    add_four(n,
             x + i,
             a + rows[i] * n,
             a + rows[i + 1] * n,
             a + rows[i + 2] * n,
             a + rows[i + 3] * n,
             y);
  }
  for (; i < count; ++i) add_multiple(n, x[i], a + rows[i] * n, y);
}

DETENTE_DENSE_CLONES
void multiply_with_sizes(std::size_t n, const double* a, const double* x, double* y, double* size) {
  std::fill(y, y + n, 0.0);
  std::fill(size, size + n, 0.0);
  std::size_t i = 0;
  for (; i + 2 <= n; i += 2) add_two_with_sizes(n, x + i, a + i * n, y, size);
  for (; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const double term = x[i] * a[i * n + j];
      y[j] += term;
      size[j] += std::abs(term);
    }
  }
}

DETENTE_DENSE_CLONES
void descend(std::size_t n, const double* a, int sweeps, double* beta, double* slack) {
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (std::size_t i = 0; i < n; ++i) {
      const double next = std::max(0.0, beta[i] - slack[i]);
      if (next == beta[i]) continue;
      add_multiple(n, next - beta[i], a + i * n, slack);
      beta[i] = next;
    }
  }
}

}  // namespace detente::balance::internal
