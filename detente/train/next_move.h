// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace detente::train {

// How a parameter will move, as the step θ ← θ − Δ:  Δ = factor ⊙ gradient + past + decay θ.
struct NextMove {
  at::Tensor factor;    // of the present gradient; undefined: it stays, and so are the others
  at::Tensor gradient;  // dense
  at::Tensor past;      // earlier gradients' part
  double decay = 0;
};

}  // namespace detente::train
