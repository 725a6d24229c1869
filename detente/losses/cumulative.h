// SPDX-License-Identifier: Apache-2.0
// Losses of ordered classes 0, ..., K − 1 on cumulative logits: z_ik = logit P(y_i > k), k = 0, ..., K − 2,
// falling with k (nn/heads.h makes them so). Targets are whole numbers below K (anything else is kData).
//
//   cumulative  L = −(1/n) Σ_i ln P(y_i), P(y) = σ(z_{y−1}) − σ(z_y) with z_{−1} = ∞, z_{K−1} = −∞:
//               maximum likelihood of the proportional odds model (McCullagh, Regression Models for
//               Ordinal Data, JRSS B 1980)
//   coral       L = (1/n) Σ_i Σ_k cross-entropy of "y_i > k": the K − 1 binary tasks of CORAL (Cao,
//               Mirjalili, Raschka, Pattern Recognition Letters 2020, arXiv 1901.07884)
//
// ln P is formed as −softplus(−z_{y−1}) − softplus(z_y) + ln(1 − exp(z_y − z_{y−1})), which stays finite for
// every pair of logits; where two of them are closer than 1e-6 the last term is constant.
#pragma once

#include <detente/losses/loss.h>

#include <memory>

namespace detente::losses {

std::unique_ptr<Loss> make_cumulative();
std::unique_ptr<Loss> make_coral();

}  // namespace detente::losses
