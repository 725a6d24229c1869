// SPDX-License-Identifier: Apache-2.0
// What gram.cpp's target-dependent part and its common part tell each other.
#pragma once

#include <cstdint>

namespace detente::simd::internal {

// Rows whose products one loop over a tile forms.
struct GramBlock {
  std::int64_t row = 0;
  std::int64_t column = 0;  // the first of the other rows
  int rows = 0;
  int columns = 0;     // 0: each of the rows with itself and those before it
  bool ahead = false;  // brings its rows' next tile nearer; else one row's

  std::int64_t products() const { return columns == 0 ? rows * (rows + 1) / 2 : rows * columns; }
};

template <class T>
struct GramTile {
  const GramBlock* blocks;
  std::int64_t count;
  const T* const* rows;
  std::int64_t row_count;
  std::int64_t begin;  // column
  std::int64_t n;      // columns > 0, a multiple of kGramUnit vectors
  std::int64_t ahead;  // how many columns on the next tile begins; 0: there is none
  double* sums;        // a vector of doubles for each product, block after block
};

struct GramShape {
  int rows;                  // of a block, at most
  int (*columns)(int rows);  // of a block with so many rows, at most
  std::int64_t lanes;        // floats in a vector
  std::int64_t doubles;      // in a vector
  std::int64_t steps;        // vectors of a row in a tile, at most
};

// Vectors taken in one go where few sums are formed.
inline constexpr std::int64_t kGramUnit = 4;

}  // namespace detente::simd::internal
