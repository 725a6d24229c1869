// SPDX-License-Identifier: Apache-2.0
// The policy's distribution: a normal one pressed into (-1, 1) by tanh (Haarnoja et al., ICML 2018, appendix C).
//
//   u = μ + σ ε,  a = tanh u,  log π(a) = Σ_j [ −ε_j²/2 − log σ_j − log(2π)/2 − log(1 − tanh² u_j) ]
//   log σ = low + (high − low) (tanh s + 1) / 2
//
// log(1 − tanh² u) is 2 (log 2 − u − softplus(−2u)), which holds for every u. Published code has
// log(relu(1 − a²) + 1e-6): another density from |u| = 7 on.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/control/agent_options.h>

namespace detente::control {

struct DrawnActions {
  at::Tensor actions;          // [N, A], in (-1, 1)
  at::Tensor log_probability;  // [N], of the density of `actions`
};

// `raw` [N, 2A]: μ and s beside each other; `noise` [N, A]: ε. With graphs to `raw`.
DrawnActions draw_actions(const at::Tensor& raw,
                          const at::Tensor& noise,
                          const DeviationBounds& bounds);

// tanh μ, [N, A].
at::Tensor mean_actions(const at::Tensor& raw);

}  // namespace detente::control
