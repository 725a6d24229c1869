// SPDX-License-Identifier: Apache-2.0
// Products of a wide matrix with a narrow one, as a random projection of a weight gradient needs.
#pragma once

#include <detente/tensor/fwd.h>

namespace detente::tensor {

// sum += the m·n entries of wideᵀ narrow, in an order that depends on nothing but m, n, the type
// and the instruction set in use (simd/target.h): good for inner products between such sums. wide
// [R, m], narrow [R, n], contiguous, sum of m·n numbers, all of one type and device. For n of some
// tens: reads `wide` once, row after row, which a general matrix product does not. On its way it
// adds the sums of the columns of `wide` to column_sums [m], unless that is undefined.
void add_narrow_product(const at::Tensor& wide,
                        const at::Tensor& narrow,
                        at::Tensor& sum,
                        at::Tensor& column_sums);

}  // namespace detente::tensor
