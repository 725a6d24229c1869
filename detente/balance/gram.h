// SPDX-License-Identifier: Apache-2.0
// Gram matrices from small Jacobians, and the check that a matrix from outside is one. (Training
// accumulates its Gram matrix in detente/tensor/gram.h.)
#pragma once

#include <detente/core/matrix.h>

namespace detente::balance {

// J Jᵀ of a k×p Jacobian, exactly symmetric. Throws kNumeric naming the row with a NaN or infinity.
Matrix gram_matrix(MatrixView jacobian);

// Throws kShape unless square, kNumeric unless finite, symmetric and positive semidefinite to
// within float32 rounding (the smallest eigenvalue of the cosine matrix is at least -1e-5 k).
void check_gram_matrix(MatrixView gram);

}  // namespace detente::balance
