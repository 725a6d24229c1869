// SPDX-License-Identifier: Apache-2.0
// The K×K Gram matrix of K long rows, accumulated in double.
#pragma once

#include <detente/core/matrix.h>
#include <detente/tensor/fwd.h>

namespace detente::tensor {

// rows [K, P], float32 or float64, any device. The result is exactly symmetric and does not depend
// on the number of threads, though its last bits do on the instruction set in use and the sizes of
// the caches (simd/target.h, simd/caches.h). Products are summed in the rows' type over short
// pieces of a row and in double from there: relative to ‖g_i‖‖g_j‖ the error is about 1e-8 for long
// float32 rows, at most 1e-7 (what rounding the rows themselves costs), and 1e-15 for float64. Rows
// whose squares would leave the range of float32 (longer than 1e19, shorter than 1e-10) are summed
// in double throughout.
// Cost: K²P/2 multiply-adds, one pass over the rows; on a CPU shared among LibTorch's threads.
Matrix gram(const at::Tensor& rows);

// All inner products of the rows of two matrices [K, P] and [L, P], summed as above; not symmetric.
Matrix inner_products(const at::Tensor& a, const at::Tensor& b);

// Whether these numbers' squared norm, summed from float32 products, may be wrong: it is not finite,
// or so small that some of its terms may have lost digits, or zero although the numbers are not.
bool outside_float(const at::Tensor& numbers, double squared);

// ‖x‖² in double, any shape.
double squared_norm(const at::Tensor& x);

}  // namespace detente::tensor
