// SPDX-License-Identifier: Apache-2.0
// The backward of a rectifier on a matrix, with the sums of its columns.
#pragma once

#include <cstdint>

namespace detente::simd {

// in = out where saved > 0 or is not a number, else 0, for matrices of `rows` rows of `columns`
// numbers next to each other, `..._stride` numbers from one row to the next; sum[c] += the sum of
// column c of `in`, made of sums of 128 rows. `in` may be `out`; without alignment. The same
// numbers on every target. Runs on the calling thread; reads and writes everything once.
template <class T>
struct ReluRows {
  const T* out;
  const T* saved;
  T* in;
  T* sum;
  std::int64_t out_stride;
  std::int64_t saved_stride;
  std::int64_t in_stride;
  std::int64_t rows;
  std::int64_t columns;
};
void relu_backward_rows(const ReluRows<float>& all);
void relu_backward_rows(const ReluRows<double>& all);

}  // namespace detente::simd
