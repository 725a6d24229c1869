// SPDX-License-Identifier: Apache-2.0
// Inner products of long rows, summed in double.
#pragma once

#include <cstdint>

namespace detente::simd {

// gram[i * k + j] += ⟨rows[i], rows[j]⟩ over the columns [begin, end) for j <= i < k; what lies
// above the diagonal is left alone. Rows may lie anywhere, without alignment.
//
// Products are summed in the rows' type over short pieces, at most 64 of them in one sum, and in
// double from there (tensor/gram.h says how exact that is). The order depends on the target, on the
// sizes of the caches and on where `begin` lies, on nothing else. Runs on the calling thread.
// Cost: k²/2 multiply-adds a column; each number comes once from memory.
void add_gram(
    const float* const* rows, std::int64_t k, std::int64_t begin, std::int64_t end, double* gram);
void add_gram(
    const double* const* rows, std::int64_t k, std::int64_t begin, std::int64_t end, double* gram);

// products[i * kb + j] += ⟨a[i], b[j]⟩ over [begin, end), i < ka, j < kb, in the same way.
void add_inner_products(const float* const* a,
                        std::int64_t ka,
                        const float* const* b,
                        std::int64_t kb,
                        std::int64_t begin,
                        std::int64_t end,
                        double* products);
void add_inner_products(const double* const* a,
                        std::int64_t ka,
                        const double* const* b,
                        std::int64_t kb,
                        std::int64_t begin,
                        std::int64_t end,
                        double* products);

// Columns that these take at once for `rows` rows in all of numbers of `size` bytes (4 or 8): who
// shares the columns among threads cuts at multiples of it.
std::int64_t gram_tile(std::int64_t rows, std::size_t size);

}  // namespace detente::simd
