// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/internal/highway.h>
#include <detente/simd/narrow_product.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "detente/simd/narrow_product.cpp"
#include <hwy/foreach_target.h>
// Once for each target from here.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace detente::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows taken at once, so that the sums are read and written once for all of them: as many as the
// registers hold beside a sum and a number of `narrow`.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kNarrowRows = 16;
#else
constexpr int kNarrowRows = 12;
#endif

// kRows rows from `row` on. Per vector of columns, n neighbouring vectors of sums: sums a row of
// `wide` apart would fight for the same places of the cache where rows are a power of two long.
template <class D, int kRows, class T = hn::TFromD<D>>
void add_some_rows(
    D d, const NarrowProduct<T>& at, std::int64_t row, std::int64_t begin, std::int64_t end) {
  using V = hn::Vec<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const T* narrow = at.narrow + row * at.n;
  for (std::int64_t c = begin; c < end; c += lanes) {
    const T* wide = at.wide + row * at.m + c;
    V rows[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) rows[r] = hn::LoadU(d, wide + r * at.m);
    if (at.column_sums != nullptr) {
      V total = hn::LoadU(d, at.column_sums + c);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) total = hn::Add(total, rows[r]);
      hn::StoreU(total, d, at.column_sums + c);
    }
    T* to = at.sum + c * at.n;
    for (std::int64_t j = 0; j < at.n; ++j) {
      V total = hn::LoadU(d, to + j * lanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        total = hn::MulAdd(rows[r], hn::Set(d, narrow[r * at.n + j]), total);
      }
      hn::StoreU(total, d, to + j * lanes);
    }
  }
}

template <class D, class T = hn::TFromD<D>>
void add_rows(D d, const NarrowProduct<T>& at, std::int64_t begin, std::int64_t end) {
  std::int64_t r = 0;
  for (; r + kNarrowRows <= at.rows; r += kNarrowRows) {
    add_some_rows<D, kNarrowRows>(d, at, r, begin, end);
  }
  for (; r + 4 <= at.rows; r += 4) add_some_rows<D, 4>(d, at, r, begin, end);
  for (; r < at.rows; ++r) add_some_rows<D, 1>(d, at, r, begin, end);
}

template <class T>
void add_columns(const NarrowProduct<T>& at, std::int64_t begin, std::int64_t end) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t whole = end / lanes * lanes;
  add_rows(d, at, begin, whole);
  if (whole < end) add_rows(one, at, whole, end);
}

void add_float_columns(const NarrowProduct<float>& at, std::int64_t begin, std::int64_t end) {
  add_columns(at, begin, end);
}
void add_double_columns(const NarrowProduct<double>& at, std::int64_t begin, std::int64_t end) {
  add_columns(at, begin, end);
}

std::int64_t narrow_lanes(std::size_t size) {
  return static_cast<std::int64_t>(size == sizeof(float) ? hn::Lanes(hn::ScalableTag<float>())
                                                         : hn::Lanes(hn::ScalableTag<double>()));
}

}  // namespace detente::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace detente::simd {
namespace {

HWY_EXPORT(add_float_columns);
HWY_EXPORT(add_double_columns);
HWY_EXPORT(narrow_lanes);

}  // namespace

std::int64_t narrow_columns(std::size_t size) { return DETENTE_DISPATCH(narrow_lanes)(size); }

void add_narrow_product(const NarrowProduct<float>& all, std::int64_t begin, std::int64_t end) {
  DETENTE_DISPATCH(add_float_columns)(all, begin, end);
}

void add_narrow_product(const NarrowProduct<double>& all, std::int64_t begin, std::int64_t end) {
  DETENTE_DISPATCH(add_double_columns)(all, begin, end);
}

}  // namespace detente::simd
#endif
