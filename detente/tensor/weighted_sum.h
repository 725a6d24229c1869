// SPDX-License-Identifier: Apache-2.0
// One weighted sum of K long rows: what is left of K gradients once a method has weighed them.
#pragma once

#include <detente/tensor/fwd.h>

#include <span>

namespace detente::tensor {

// sum = Σ_k weights[k] · rows[k]; rows [K, P] with neighbouring numbers next to each other, K >= 1,
// sum [P] contiguous, of the rows' type and device. Summed in that type. One pass over the rows; on
// a CPU shared among LibTorch's threads, with the same result whatever their number.
void weighted_sum(const at::Tensor& rows, std::span<const double> weights, at::Tensor& sum);

// The same for rows that lie apart: at least one, all contiguous and of the sum's type, device and
// number of elements.
void weighted_sum(std::span<const at::Tensor> rows,
                  std::span<const double> weights,
                  at::Tensor& sum);

}  // namespace detente::tensor
