// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/caches.h>
#include <detente/simd/gram.h>
#include <detente/simd/internal/gram_tile.h>
#include <detente/simd/internal/highway.h>

#include <algorithm>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "detente/simd/gram.cpp"
#include <hwy/foreach_target.h>
// Once for each target from here.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace detente::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using internal::GramBlock;
using internal::GramShape;
using internal::GramTile;
using internal::kGramUnit;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kGramRegisters = 32;
constexpr int kGramRows = 6;
constexpr int kGramColumns = 5;
#else
constexpr int kGramRegisters = 16;
constexpr int kGramRows = 4;
constexpr int kGramColumns = 4;
#endif
// Products in one sum of the rows' type: few enough for its rounding errors, many enough that
// adding the sums to those in double is little work beside them.
constexpr std::int64_t kGramSteps = HWY_TARGET == HWY_AVX3 ? 48 : 64;

// Sums of rows by columns products stay in registers while a tile passes, with the numbers of the
// columns' rows and one of the other rows' after the other: a loaded number serves many products.
constexpr int gram_columns(int rows) {
  int columns = 1;
  while (columns < kGramColumns && rows * (columns + 1) + columns + 2 <= kGramRegisters) ++columns;
  return columns;
}

// Adds what a tile's sums hold to those in double.
template <class D, class V>
HWY_INLINE void add_sums(D d, V sums, double* to) {
#if HWY_TARGET == HWY_SCALAR
  (void)d;
  *to += static_cast<double>(hn::GetLane(sums));
#else
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
    hn::StoreU(hn::Add(hn::LoadU(d, to), sums), d, to);
  } else {
    const hn::Half<D> half;
    const hn::Rebind<double, hn::Half<D> > wide;
    const auto folded = hn::Add(hn::LowerHalf(half, sums), hn::UpperHalf(half, sums));
    hn::StoreU(hn::Add(hn::LoadU(wide, to), hn::PromoteTo(wide, folded)), wide, to);
  }
#endif
}

// One block of a tile; kN == 0: a triangle. kAhead: what the next tile takes of all these rows
// comes into the second cache meanwhile; else of the row at `next`.
template <class T, int kM, int kN, bool kAhead>
void add_block(const GramTile<T>& tile, const GramBlock& at, const T* next, double* to) {
  constexpr int kSums = kN == 0 ? kM * (kM + 1) / 2 : kM * kN;
  // Few sums would wait for each other.
  constexpr int kUnroll = kSums <= 2 ? kGramUnit : kSums <= 5 ? 2 : 1;
  constexpr int kColumns = kN == 0 ? kM : kN;
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const T* left[kM];
  const T* right[kColumns];
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i) left[i] = tile.rows[at.row + i] + tile.begin;
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) right[j] = tile.rows[at.column + j] + tile.begin;
  V sums[kUnroll * kSums];
#pragma GCC unroll 32
  for (int s = 0; s < kUnroll * kSums; ++s) sums[s] = hn::Zero(d);
  std::int64_t c = 0;
  do {  // n > 0 is known: no loop that might not run
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) {
      V y[kColumns];
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        y[j] = hn::LoadU(d, right[j] + c);
        if (kAhead) __builtin_prefetch(right[j] + tile.ahead + c, 0, 2);
      }
#pragma GCC unroll 8
      for (int i = 0; i < kM; ++i) {
        const V x = kN == 0 ? y[i] : hn::LoadU(d, left[i] + c);
        if (kAhead && kN != 0) __builtin_prefetch(left[i] + tile.ahead + c, 0, 2);
#pragma GCC unroll 8
        for (int j = 0; j < (kN == 0 ? i + 1 : kN); ++j) {
          const int s = u * kSums + (kN == 0 ? i * (i + 1) / 2 + j : i * kN + j);
          sums[s] = hn::MulAdd(x, y[j], sums[s]);
        }
      }
      if (!kAhead) __builtin_prefetch(next + c, 0, 2);
      c += lanes;
    }
  } while (c < tile.n);
  const auto doubles = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<double>()));
#pragma GCC unroll 32
  for (int s = 0; s < kSums; ++s) {
    V sum = sums[s];
#pragma GCC unroll 4
    for (int u = 1; u < kUnroll; ++u) sum = hn::Add(sum, sums[u * kSums + s]);
    add_sums(d, sum, to + s * doubles);
  }
}

// The functions for all blocks.
template <class T, bool kAhead>
struct GramFunctions {
  using Function = void (*)(const GramTile<T>&, const GramBlock&, const T*, double*);
  Function of[kGramRows + 1][kGramColumns + 1];  // rows, columns (0: a triangle)

  constexpr GramFunctions() : of() { fill(std::make_integer_sequence<int, kGramRows>()); }

 private:
  template <int... kM>
  constexpr void fill(std::integer_sequence<int, kM...>) {
    (fill_row<kM + 1>(std::make_integer_sequence<int, kGramColumns + 1>()), ...);
  }
  template <int kM, int... kN>
  constexpr void fill_row(std::integer_sequence<int, kN...>) {
    ((of[kM][kN] = one<kM, kN>()), ...);
  }
  template <int kM, int kN>
  static constexpr Function one() {
    if constexpr (kN <= gram_columns(kM)) return &add_block<T, kM, kN, kAhead>;
    return nullptr;
  }
};

template <class T>
void add_tile(const GramTile<T>& tile) {
  static constexpr GramFunctions<T, true> kWithAhead;
  static constexpr GramFunctions<T, false> kAlone;
  const auto doubles = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<double>()));
  double* to = tile.sums;
  for (std::int64_t i = 0; i < tile.count; ++i) {
    const GramBlock& at = tile.blocks[i];
    const T* next = i < tile.row_count ? tile.rows[i] + tile.ahead : tile.rows[0];
    (at.ahead ? kWithAhead.of : kAlone.of)[at.rows][at.columns](tile, at, next + tile.begin, to);
    to += at.products() * doubles;
  }
}

void add_float_tile(const GramTile<float>& tile) { add_tile(tile); }
void add_double_tile(const GramTile<double>& tile) { add_tile(tile); }

GramShape gram_shape() {
  return {kGramRows,
          &gram_columns,
          static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>())),
          static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<double>())),
          kGramSteps};
}

}  // namespace detente::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace detente::simd {
namespace {

HWY_EXPORT(add_float_tile);
HWY_EXPORT(add_double_tile);
HWY_EXPORT(gram_shape);

using internal::GramBlock;
using internal::GramShape;
using internal::GramTile;
using internal::kGramUnit;

// A row is cut into at least so many pieces, where it is that long.
constexpr std::int64_t kGramPieces = 8;

void call_tile(const GramTile<float>& tile) { DETENTE_DISPATCH(add_float_tile)(tile); }
void call_tile(const GramTile<double>& tile) { DETENTE_DISPATCH(add_double_tile)(tile); }
GramShape call_shape() { return DETENTE_DISPATCH(gram_shape)(); }

// Where part `i` of n things begins when they are cut into nearly equal parts of at most `most`.
std::int64_t parts_of(std::int64_t n, std::int64_t most) { return (n + most - 1) / most; }
std::int64_t begin_of(std::int64_t i, std::int64_t n, std::int64_t parts) { return i * n / parts; }

// Rows [row, row + rows) with [column, column + columns).
void add_blocks(const GramShape& shape,
                std::int64_t row,
                std::int64_t rows,
                std::int64_t column,
                std::int64_t columns,
                std::vector<GramBlock>& blocks) {
  const std::int64_t parts = parts_of(columns, shape.columns(static_cast<int>(rows)));
  for (std::int64_t j = 0; j < parts; ++j) {
    const std::int64_t first = begin_of(j, columns, parts);
    const std::int64_t last = begin_of(j + 1, columns, parts);
    blocks.push_back(
        {row, column + first, static_cast<int>(rows), static_cast<int>(last - first), false});
  }
}

// Exactly the products that are needed. Where there are fewer blocks than rows, some bring all
// their rows nearer.
std::vector<GramBlock> triangle_blocks(const GramShape& shape, std::int64_t k) {
  std::vector<GramBlock> blocks;
  const std::int64_t parts = parts_of(k, shape.rows);
  for (std::int64_t i = 0; i < parts; ++i) {
    const std::int64_t row = begin_of(i, k, parts);
    const std::int64_t rows = begin_of(i + 1, k, parts) - row;
    blocks.push_back({row, row, static_cast<int>(rows), 0, false});
    add_blocks(shape, row, rows, 0, row, blocks);
  }
  if (static_cast<std::int64_t>(blocks.size()) < k) {
    for (GramBlock& one : blocks) one.ahead = one.columns == 0;
  }
  return blocks;
}

// Rows [0, ka) with [ka, ka + kb).
std::vector<GramBlock> product_blocks(const GramShape& shape, std::int64_t ka, std::int64_t kb) {
  std::vector<GramBlock> blocks;
  const std::int64_t parts = parts_of(ka, shape.rows);
  for (std::int64_t i = 0; i < parts; ++i) {
    const std::int64_t row = begin_of(i, ka, parts);
    add_blocks(shape, row, begin_of(i + 1, ka, parts) - row, ka, kb, blocks);
  }
  if (static_cast<std::int64_t>(blocks.size()) < ka + kb) {
    for (GramBlock& one : blocks) one.ahead = true;
  }
  return blocks;
}

std::int64_t tile_columns(const GramShape& shape, std::int64_t rows, std::size_t size) {
  const std::int64_t lanes = size == sizeof(float) ? shape.lanes : shape.doubles;
  const auto vector = lanes * static_cast<std::int64_t>(size);
  // A block's rows stay in the first cache, all rows and those of the next tile in half of the
  // second; where even short pieces of so many rows do not, the cache beyond has to do.
  const std::int64_t block = shape.rows + shape.columns(shape.rows);
  std::int64_t steps = std::min(shape.steps, caches().l1d * 3 / 4 / (block * vector));
  steps = std::min(steps, caches().l2 / 4 / (std::max<std::int64_t>(rows, 1) * vector));
  return std::max<std::int64_t>(steps / kGramUnit, 4) * kGramUnit * lanes;
}

// What of a tile a part of a row takes at once: short ones in shorter pieces, because the errors of
// few sums do not cancel.
std::int64_t piece_of(std::int64_t tile, std::int64_t columns, std::int64_t unit) {
  return std::clamp(columns / kGramPieces / unit * unit, unit, tile);
}

template <class T>
void add_products(const T* const* rows,
                  std::int64_t count,
                  std::int64_t begin,
                  std::int64_t end,
                  const GramShape& shape,
                  const std::vector<GramBlock>& blocks,
                  std::vector<double>& sums) {
  std::int64_t products = 0;
  for (const GramBlock& one : blocks) products += one.products();
  sums.assign(static_cast<std::size_t>(products * shape.doubles), 0.0);
  const std::int64_t unit = kGramUnit * (sizeof(T) == sizeof(float) ? shape.lanes : shape.doubles);
  const std::int64_t columns = piece_of(tile_columns(shape, count, sizeof(T)), end - begin, unit);
  GramTile<T> tile{blocks.data(),
                   static_cast<std::int64_t>(blocks.size()),
                   rows,
                   count,
                   begin,
                   0,
                   0,
                   sums.data()};
  const std::int64_t whole = begin + (end - begin) / unit * unit;
  for (; tile.begin < whole; tile.begin += tile.n) {
    tile.n = std::min(columns, whole - tile.begin);
    tile.ahead = tile.begin + 2 * tile.n <= whole ? tile.n : 0;
    call_tile(tile);
  }
  if (whole == end) return;
  // The rest, filled up with zeros.
  std::vector<T> rest(static_cast<std::size_t>(count * unit), T{0});
  std::vector<const T*> starts(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    T* to = rest.data() + i * unit;
    std::copy(rows[i] + whole, rows[i] + end, to);
    starts[static_cast<std::size_t>(i)] = to;
  }
  tile.rows = starts.data();
  tile.begin = 0;
  tile.n = unit;
  tile.ahead = 0;
  call_tile(tile);
}

// Calls add(i, j, product) for rows i and j of all blocks.
template <class Add>
void for_each_product(const std::vector<GramBlock>& blocks,
                      std::int64_t doubles,
                      const std::vector<double>& sums,
                      const Add& add) {
  const double* from = sums.data();
  for (const GramBlock& at : blocks) {
    for (int i = 0; i < at.rows; ++i) {
      for (int j = 0; j < (at.columns == 0 ? i + 1 : at.columns); ++j) {
        double sum = 0.0;
        for (std::int64_t lane = 0; lane < doubles; ++lane) sum += from[lane];
        from += doubles;
        add(at.row + i, at.column + j, sum);
      }
    }
  }
}

template <class T>
void gram_of(
    const T* const* rows, std::int64_t k, std::int64_t begin, std::int64_t end, double* gram) {
  if (k <= 0 || begin >= end) return;
  const GramShape shape = call_shape();
  const std::vector<GramBlock> blocks = triangle_blocks(shape, k);
  std::vector<double> sums;
  add_products(rows, k, begin, end, shape, blocks, sums);
  for_each_product(blocks, shape.doubles, sums, [&](std::int64_t i, std::int64_t j, double sum) {
    gram[i * k + j] += sum;
  });
}

template <class T>
void products_of(const T* const* a,
                 std::int64_t ka,
                 const T* const* b,
                 std::int64_t kb,
                 std::int64_t begin,
                 std::int64_t end,
                 double* products) {
  if (ka <= 0 || kb <= 0 || begin >= end) return;
  std::vector<const T*> rows(a, a + ka);
  rows.insert(rows.end(), b, b + kb);
  const GramShape shape = call_shape();
  const std::vector<GramBlock> blocks = product_blocks(shape, ka, kb);
  std::vector<double> sums;
  add_products(rows.data(), ka + kb, begin, end, shape, blocks, sums);
  for_each_product(blocks, shape.doubles, sums, [&](std::int64_t i, std::int64_t j, double sum) {
    products[i * kb + j - ka] += sum;
  });
}

}  // namespace

void add_gram(
    const float* const* rows, std::int64_t k, std::int64_t begin, std::int64_t end, double* gram) {
  gram_of(rows, k, begin, end, gram);
}

void add_gram(
    const double* const* rows, std::int64_t k, std::int64_t begin, std::int64_t end, double* gram) {
  gram_of(rows, k, begin, end, gram);
}

void add_inner_products(const float* const* a,
                        std::int64_t ka,
                        const float* const* b,
                        std::int64_t kb,
                        std::int64_t begin,
                        std::int64_t end,
                        double* products) {
  products_of(a, ka, b, kb, begin, end, products);
}

void add_inner_products(const double* const* a,
                        std::int64_t ka,
                        const double* const* b,
                        std::int64_t kb,
                        std::int64_t begin,
                        std::int64_t end,
                        double* products) {
  products_of(a, ka, b, kb, begin, end, products);
}

std::int64_t gram_tile(std::int64_t rows, std::size_t size) {
  return tile_columns(call_shape(), rows, size);
}

}  // namespace detente::simd
#endif
