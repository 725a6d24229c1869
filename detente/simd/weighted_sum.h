// SPDX-License-Identifier: Apache-2.0
// One weighted sum of many long rows.
#pragma once

#include <cstdint>

namespace detente::simd {

// sum[c] = Σ_{i<k} weights[i] · rows[i][c] for c in [begin, end), k >= 0, summed in the rows' type
// in the order of the rows; each number of the sum is made in the same way wherever [begin, end)
// lies. Rows and sum may lie anywhere, without alignment; no row overlaps the sum. Runs on the
// calling thread. Cost: one pass over the rows.
void weighted_sum(const float* const* rows,
                  const double* weights,
                  std::int64_t k,
                  std::int64_t begin,
                  std::int64_t end,
                  float* sum);
void weighted_sum(const double* const* rows,
                  const double* weights,
                  std::int64_t k,
                  std::int64_t begin,
                  std::int64_t end,
                  double* sum);

}  // namespace detente::simd
