// SPDX-License-Identifier: Apache-2.0
// GradNorm: trained weights that keep all weighted gradients at a length set by how fast each task
// learns.
//
// Rule: n_i = ‖g_i‖, G_i = w_i n_i and their mean Ḡ; L̃_i = L_i/L_i(0), r_i = L̃_i divided by the
// mean of L̃. After each step w moves by its own Adam step on Σ_i |G_i/Ḡ − r_i^α| with Ḡ and r held
// constant (gradient sign(G_i − Ḡ r_i^α) n_i/Ḡ), then is rescaled to Σw = k. The weights returned
// are those before the step; they start at 1. Why the plain thing fails: tasks with large gradients
// learn first and the others late or never; here a task that lags (r_i > 1) is given a larger share
// of the step. Gradients: the paper takes the norms at the last shared layer. This method takes the
// diagonal of the Gram matrix it is given, whatever parameters (or features) that was formed over.
// Limits: α = 0 → fixed point with all G_i equal; equal gradients and losses → w = 1 for ever; k =
// 1 → w = 1; lr = 0 → w = 1; scaling all gradients, or one loss together with L(0), changes nothing
// but G; a zero row does not move its weight, apart from Adam's momentum and the rescaling.
// Parametrisation: raw trains w itself, which stays >= floor (paper, which says nothing of the
// sign); softmax trains s with w = k softmax(s) (LibMTL), positive by itself.
// State: the trained numbers, Adam's moments and L(0) per task; those of absent tasks stay as they
// are, and the present ones keep their sum.
// Errors: a negative loss, or a first loss of 0 (kNumeric, names the task).
// Cost: O(k). Class G+L.
// Paper: Chen, Badrinarayanan, Lee and Rabinovich, ICML 2018, arXiv 1711.02257, algorithm 1.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <vector>

namespace detente::balance {

struct GradnormOptions {
  enum class Parametrisation { kRaw, kSoftmax };
  double alpha = 1.5;  // strength with which lagging tasks are helped
  double lr = 0.025;   // Adam's step on w or s (β = 0.9, 0.999, no weight decay)
  Parametrisation parametrisation = Parametrisation::kRaw;
  double floor = 0.01;                 // least w before the rescaling (raw)
  std::vector<double> initial_losses;  // L(0), one per task; empty: the first losses seen

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_gradnorm();

}  // namespace detente::balance
