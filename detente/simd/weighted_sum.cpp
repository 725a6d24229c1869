// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/internal/highway.h>
#include <detente/simd/weighted_sum.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "detente/simd/weighted_sum.cpp"
#include <hwy/foreach_target.h>
// Once for each target from here.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace detente::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Numbers of a row, asked for before they are needed.
constexpr std::int64_t kSumAhead = 128;

// sum (+)= Σ_{j<kRows} w[j] · row[j] over n numbers.
template <class T, int kRows>
void add_some_rows(T* sum, const T* const* rows, const T* w, std::int64_t n, bool add) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const T* row[kRows];
  V weight[kRows];
#pragma GCC unroll 8
  for (int j = 0; j < kRows; ++j) {
    row[j] = rows[j];
    weight[j] = hn::Set(d, w[j]);
  }
  std::int64_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    V total = add ? hn::LoadU(d, sum + c) : hn::Zero(d);
#pragma GCC unroll 8
    for (int j = 0; j < kRows; ++j) {
      total = hn::MulAdd(hn::LoadU(d, row[j] + c), weight[j], total);
      __builtin_prefetch(row[j] + c + kSumAhead);
    }
    hn::StoreU(total, d, sum + c);
  }
  const hn::CappedTag<T, 1> one;
  for (; c < n; ++c) {
    auto total = add ? hn::LoadU(one, sum + c) : hn::Zero(one);
    for (int j = 0; j < kRows; ++j) {
      total = hn::MulAdd(hn::LoadU(one, row[j] + c), hn::Set(one, w[j]), total);
    }
    hn::StoreU(total, one, sum + c);
  }
}

// Any number of rows.
template <class T>
void add_rows(T* sum, const T* const* rows, const T* w, std::int64_t k, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 4 <= k; i += 4) add_some_rows<T, 4>(sum, rows + i, w + i, n, i > 0);
  if (k - i == 3) add_some_rows<T, 3>(sum, rows + i, w + i, n, i > 0);
  if (k - i == 2) add_some_rows<T, 2>(sum, rows + i, w + i, n, i > 0);
  if (k - i == 1) add_some_rows<T, 1>(sum, rows + i, w + i, n, i > 0);
}

void add_float_rows(
    float* sum, const float* const* rows, const float* w, std::int64_t k, std::int64_t n) {
  add_rows(sum, rows, w, k, n);
}
void add_double_rows(
    double* sum, const double* const* rows, const double* w, std::int64_t k, std::int64_t n) {
  add_rows(sum, rows, w, k, n);
}

}  // namespace detente::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <vector>

namespace detente::simd {
namespace {

HWY_EXPORT(add_float_rows);
HWY_EXPORT(add_double_rows);

// Numbers of the sum that stay in the first cache while row after row is added; long enough for the
// processor to foresee each row.
constexpr std::int64_t kSumTile = 2048;

template <class T, class Function>
void sum_tiles(Function add_rows,
               const T* const* rows,
               const double* weights,
               std::int64_t k,
               std::int64_t begin,
               std::int64_t end,
               T* sum) {
  if (begin >= end) return;
  if (k <= 0) {
    std::fill(sum + begin, sum + end, T{0});
    return;
  }
  std::vector<T> w(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < k; ++i) w[static_cast<std::size_t>(i)] = static_cast<T>(weights[i]);
  std::vector<const T*> at(static_cast<std::size_t>(k));
  for (std::int64_t c = begin; c < end; c += kSumTile) {
    for (std::int64_t i = 0; i < k; ++i) at[static_cast<std::size_t>(i)] = rows[i] + c;
    add_rows(sum + c, at.data(), w.data(), k, std::min(kSumTile, end - c));
  }
}

}  // namespace

void weighted_sum(const float* const* rows,
                  const double* weights,
                  std::int64_t k,
                  std::int64_t begin,
                  std::int64_t end,
                  float* sum) {
  sum_tiles(DETENTE_DISPATCH(add_float_rows), rows, weights, k, begin, end, sum);
}

void weighted_sum(const double* const* rows,
                  const double* weights,
                  std::int64_t k,
                  std::int64_t begin,
                  std::int64_t end,
                  double* sum) {
  sum_tiles(DETENTE_DISPATCH(add_double_rows), rows, weights, k, begin, end, sum);
}

}  // namespace detente::simd
#endif
