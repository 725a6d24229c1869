// SPDX-License-Identifier: Apache-2.0
// COSMOS: one network for all trade-offs; each step trains it for a trade-off drawn at random.
//
// Objective: ⟨r, L⟩ − λ cos(r, L) with the preference r from a Dirichlet distribution, which the
// network must be given beside its input. Its gradient: w = r − λ ∂cos/∂L,
// ∂cos/∂L_i = (r_i/‖r‖ − cos · L_i/‖L‖)/‖L‖.
// Why the plain thing fails: training once per trade-off costs as many networks; a weighted sum
// alone bunches its solutions, the cosine spreads them along the front.
// Limits: λ = 0 -> w = r; ⟨w, L⟩ = ⟨r, L⟩ always; k = 1 -> w = 1; all losses 0 -> w = r
// (kDegenerate). Weights may be negative when λ is large against the losses.
// The network needs r before its forward pass, the weights come after it. So r is always drawn one
// step ahead: state()["log_draws"] holds one number per task, and the softmax of those of the
// tasks present is r of the next step (uniform in the first).
// Random: needs Problem::rng unless `preference` fixes r.
// State: the draws; those of an absent task are kept for its next step. None with a fixed r.
// Cost: O(k). Class L.
// Paper: Ruchte and Grabocka, ICDM 2021, arXiv 2103.13392.
#pragma once

#include <detente/balance/method.h>

#include <memory>

namespace detente::balance {

struct CosmosOptions {
  double lambda = 2.0;                // λ >= 0, in the unit of the losses
  std::vector<double> alpha = {1.2};  // of the Dirichlet distribution; one entry stands for all
  std::vector<double> preference;     // fixed r, one per task, normalised; empty = drawn

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_cosmos();

}  // namespace detente::balance
