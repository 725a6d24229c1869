// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/internal/highway.h>
#include <detente/simd/relu_rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "detente/simd/relu_rows.cpp"
#include <hwy/foreach_target.h>
// Once for each target from here.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace detente::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows whose sum is made in one go before it is added to the rest, for its rounding errors' sake.
constexpr std::int64_t kReluRows = 128;
constexpr int kReluVectors = 4;  // side by side

// kWidth vectors of columns from `column` on, `rows` rows.
template <class D, int kWidth, class T = hn::TFromD<D>>
void relu_some(D d, const ReluRows<T>& at, std::int64_t column, std::int64_t rows) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V total[kWidth];
#pragma GCC unroll 4
  for (int j = 0; j < kWidth; ++j) total[j] = hn::Zero(d);
  const T* out = at.out + column;
  const T* saved = at.saved + column;
  T* in = at.in + column;
  for (std::int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kWidth; ++j) {
      const auto gone = hn::Le(hn::LoadU(d, saved + j * lanes), hn::Zero(d));
      const V kept = hn::IfThenZeroElse(gone, hn::LoadU(d, out + j * lanes));
      hn::StoreU(kept, d, in + j * lanes);
      total[j] = hn::Add(total[j], kept);
    }
    out += at.out_stride;
    saved += at.saved_stride;
    in += at.in_stride;
  }
  T* sum = at.sum + column;
#pragma GCC unroll 4
  for (int j = 0; j < kWidth; ++j) {
    hn::StoreU(hn::Add(hn::LoadU(d, sum + j * lanes), total[j]), d, sum + j * lanes);
  }
}

template <class T>
void relu_all(ReluRows<T> at) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t n = at.columns;
  for (std::int64_t r = 0; r < at.rows; r += kReluRows) {
    const std::int64_t some = at.rows - r < kReluRows ? at.rows - r : kReluRows;
    std::int64_t c = 0;
    for (; c + kReluVectors * lanes <= n; c += kReluVectors * lanes) {
      relu_some<decltype(d), kReluVectors>(d, at, c, some);
    }
    for (; c + lanes <= n; c += lanes) relu_some<decltype(d), 1>(d, at, c, some);
    for (; c < n; ++c) relu_some<decltype(one), 1>(one, at, c, some);
    at.out += some * at.out_stride;
    at.saved += some * at.saved_stride;
    at.in += some * at.in_stride;
  }
}

void relu_floats(const ReluRows<float>& all) { relu_all(all); }
void relu_doubles(const ReluRows<double>& all) { relu_all(all); }

}  // namespace detente::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace detente::simd {
namespace {

HWY_EXPORT(relu_floats);
HWY_EXPORT(relu_doubles);

}  // namespace

void relu_backward_rows(const ReluRows<float>& all) { DETENTE_DISPATCH(relu_floats)(all); }
void relu_backward_rows(const ReluRows<double>& all) { DETENTE_DISPATCH(relu_doubles)(all); }

}  // namespace detente::simd
#endif
