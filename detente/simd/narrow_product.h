// SPDX-License-Identifier: Apache-2.0
// Products of a wide matrix with a narrow one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace detente::simd {

// sum += the m·n entries of wideᵀ narrow; wide [rows, m], narrow [rows, n], row after row without
// gaps, without alignment. column_sums [m] += the sums of the columns of `wide`, unless null.
template <class T>
struct NarrowProduct {
  const T* wide;
  const T* narrow;
  T* sum;
  T* column_sums;
  std::int64_t rows;
  std::int64_t m;
  std::int64_t n;
};

// Columns of `wide` whose sums lie together, for numbers of `size` bytes (4 or 8).
std::int64_t narrow_columns(std::size_t size);

// The part that columns [begin, end) of `wide` have in it; begin is a multiple of narrow_columns(),
// end is one or m. An entry's place in `sum` depends on m, n, the type and the target alone: the
// sums of narrow_columns() neighbours lie together for each column of `narrow` in turn, and what is
// left over of m lies as in a matrix [., n]. Runs on the calling thread; reads `wide` once.
void add_narrow_product(const NarrowProduct<float>& all, std::int64_t begin, std::int64_t end);
void add_narrow_product(const NarrowProduct<double>& all, std::int64_t begin, std::int64_t end);

}  // namespace detente::simd
