// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/tensor/clones.h>
#include <detente/tensor/parallel.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace detente::tensor {
namespace {

// Numbers of the sum that stay in the first cache while row after row is added; long enough for the
// processor to foresee each row.
constexpr std::int64_t kSumTile = 2048;
constexpr std::int64_t kSumAhead = 128;  // numbers of a row, asked for before they are needed
constexpr std::int64_t kSumRows = 4;  // in one go, so that the sum is read and written less often

typedef float SumFloats __attribute__((vector_size(64), aligned(4), may_alias));
typedef double SumDoubles __attribute__((vector_size(64), aligned(8), may_alias));

// out (+)= Σ_{j<4} w[j] · row[j] over n numbers.
#define DETENTE_SUM_KERNEL(name, T, Lanes)                                                      \
  DETENTE_CLONES void name(T* out, const T* const* row, const T* w, std::int64_t n, bool add) { \
    constexpr std::int64_t kLanes = sizeof(Lanes) / sizeof(T);                                  \
    std::int64_t c = 0;                                                                         \
    for (; c + kLanes <= n; c += kLanes) {                                                      \
      Lanes sum = add ? *reinterpret_cast<const Lanes*>(out + c) : Lanes{};                     \
      for (std::int64_t j = 0; j < kSumRows; ++j) {                                             \
        sum += *reinterpret_cast<const Lanes*>(row[j] + c) * w[j];                              \
        __builtin_prefetch(row[j] + c + kSumAhead);                                             \
      }                                                                                         \
      *reinterpret_cast<Lanes*>(out + c) = sum;                                                 \
    }                                                                                           \
    for (; c < n; ++c) {                                                                        \
      T sum = add ? out[c] : T{0};                                                              \
      for (std::int64_t j = 0; j < kSumRows; ++j) sum += row[j][c] * w[j];                      \
      out[c] = sum;                                                                             \
    }                                                                                           \
  }
DETENTE_SUM_KERNEL(sum_rows, float, SumFloats)
DETENTE_SUM_KERNEL(sum_rows, double, SumDoubles)
#undef DETENTE_SUM_KERNEL

template <class T>
void sum_on_host(const std::vector<const T*>& rows,
                 std::int64_t p,
                 std::span<const double> weights,
                 at::Tensor& sum) {
  const auto k = static_cast<std::int64_t>(rows.size());
  T* out = sum.data_ptr<T>();
  // Rows that fill the last four are zeros.
  static const std::vector<T> zeros(kSumTile, T{0});
  std::vector<T> w(static_cast<std::size_t>((k + kSumRows - 1) / kSumRows * kSumRows), T{0});
  for (std::size_t i = 0; i < weights.size(); ++i) w[i] = static_cast<T>(weights[i]);
  const std::int64_t tiles = (p + kSumTile - 1) / kSumTile;
  parallel_for(0, tiles, 8, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first * kSumTile; c < std::min(p, last * kSumTile); c += kSumTile) {
      const std::int64_t n = std::min(kSumTile, p - c);
      for (std::int64_t i = 0; i < k; i += kSumRows) {
        const T* row[kSumRows];
        for (std::int64_t j = 0; j < kSumRows; ++j) {
          row[j] = i + j < k ? rows[static_cast<std::size_t>(i + j)] + c : zeros.data();
        }
        sum_rows(out + c, row, w.data() + i, n, i > 0);
      }
    }
  });
}

template <class T>
void sum_on_host(const at::Tensor& rows, std::span<const double> weights, at::Tensor& sum) {
  std::vector<const T*> each;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    each.push_back(rows.data_ptr<T>() + i * rows.stride(0));
  }
  sum_on_host<T>(each, rows.size(1), weights, sum);
}

template <class T>
void sum_on_host(std::span<const at::Tensor> rows,
                 std::span<const double> weights,
                 at::Tensor& sum) {
  std::vector<const T*> each;
  for (const at::Tensor& row : rows) each.push_back(row.data_ptr<T>());
  sum_on_host<T>(each, sum.numel(), weights, sum);
}

// False, nothing done, on a GPU and for types without a kernel.
template <class Rows>
bool summed_on_host(const Rows& rows, std::span<const double> weights, at::Tensor& sum) {
  if (!sum.is_cpu()) return false;
  if (sum.scalar_type() == at::kFloat) {
    sum_on_host<float>(rows, weights, sum);
  } else if (sum.scalar_type() == at::kDouble) {
    sum_on_host<double>(rows, weights, sum);
  } else {
    return false;
  }
  return true;
}

}  // namespace

void weighted_sum(const at::Tensor& rows, std::span<const double> weights, at::Tensor& sum) {
  DETENTE_CHECK(
      rows.dim() == 2 && rows.size(0) > 0 && sum.dim() == 1 && sum.is_contiguous() &&
          sum.size(0) == rows.size(1) && sum.scalar_type() == rows.scalar_type() &&
          static_cast<std::int64_t>(weights.size()) == rows.size(0) &&
          (rows.size(1) < 2 || rows.stride(1) == 1),
      ErrorCode::kShape,
      "[tensor::weighted_sum] expected rows [K, P], K weights and a sum [P] of one type.");
  if (summed_on_host(rows, weights, sum)) return;
  at::Tensor w = at::empty({rows.size(0)}, at::kDouble);
  std::copy(weights.begin(), weights.end(), w.data_ptr<double>());
  at::mv_out(sum, rows.t(), w.to(rows.options()));
}

void weighted_sum(std::span<const at::Tensor> rows,
                  std::span<const double> weights,
                  at::Tensor& sum) {
  bool fit = !rows.empty() && rows.size() == weights.size() && sum.is_contiguous();
  for (const at::Tensor& row : rows) {
    fit = fit && row.is_contiguous() && row.numel() == sum.numel() &&
          row.scalar_type() == sum.scalar_type();
  }
  DETENTE_CHECK(fit,
                ErrorCode::kShape,
                "[tensor::weighted_sum] expected at least one row, a weight for each, and a sum of "
                "the rows' type and size.");
  if (summed_on_host(rows, weights, sum)) return;
  at::mul_out(sum, rows[0].view(sum.sizes()), at::scalar_tensor(weights[0], sum.options()));
  for (std::size_t i = 1; i < rows.size(); ++i) sum.add_(rows[i].view(sum.sizes()), weights[i]);
}

}  // namespace detente::tensor
