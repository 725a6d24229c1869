// SPDX-License-Identifier: Apache-2.0
// The K×K Gram matrix of K long rows, accumulated in double.
#pragma once

#include <detente/core/matrix.h>
#include <detente/tensor/fwd.h>

namespace detente::tensor {

// rows [K, P], float32 or float64, any device. The result is exactly symmetric and does not depend
// on the number of threads. Float32 products are exact in double, so the relative error is that of
// a double sum (about 1e-13 of ‖g_i‖‖g_j‖ for P = 1e6), also when rows nearly cancel.
// Cost: K²P/2 multiply-adds on one thread, one pass over the rows (1 ms for K = 3, P = 1e6).
Matrix gram(const at::Tensor& rows);

// All inner products of the rows of two matrices [K, P], accumulated in double; not symmetric.
Matrix inner_products(const at::Tensor& a, const at::Tensor& b);

// ‖x‖² in double, any shape.
double squared_norm(const at::Tensor& x);

}  // namespace detente::tensor
