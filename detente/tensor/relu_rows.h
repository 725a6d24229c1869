// SPDX-License-Identifier: Apache-2.0
// The backward of a rectifier together with what the layer below needs of it.
#pragma once

#include <detente/tensor/fwd.h>

namespace detente::tensor {

// in = out where saved > 0 (or is not a number), else 0; sum += the columns' sums of `in`. out,
// saved, in [R, n] of numbers next to each other in every row, sum [n] contiguous, all float or all
// double on the CPU; `in` may be `out`. Reads and writes everything once where LibTorch's
// operations take two rounds. Runs on the calling thread.
void relu_backward_rows(const at::Tensor& out,
                        const at::Tensor& saved,
                        at::Tensor& in,
                        at::Tensor& sum);

}  // namespace detente::tensor
