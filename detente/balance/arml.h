// SPDX-License-Identifier: Apache-2.0
// ARML, a wrapper: one main task, and weights of the auxiliary ones under which their gradients
// together come near the main task's; another method reconciles the tasks so weighted.
//
// Notation: m the main task (option `task`), A the others, a = |A|; α_i their weights, which start
// at 1 and keep α >= 0 and Σα = a; α_m = 1.
// Rule `arml`: at steps 1, n + 1, 2n + 1, ... (option `every`)
//   α ← P(α − rate · ∂/∂α ‖g_m − Σ_i α_i g_i‖²),   the slope −2 G_im + 2 Σ_j α_j G_ij,
// P the nearest point of {α >= 0, Σα = a}. A function of the Gram matrix: no second-order graph is
// needed, unlike in the published code.
// Rule `gradnorm`: at those steps likewise, with n_i = ‖g_i‖, their mean
// Ḡ = (1/a) Σ α_i n_i and r_i = (L_i / L_i(0)) divided by the mean of those,
//   α ← α − rate · ∂/∂α Σ_i |α_i n_i − Ḡ r_i|,
// cut at 0 and scaled to the same sum (the variant of that code; gradnorm.h is the paper's method).
// Weights: w_i = α_i ŵ_i, where ŵ are those of the inner method (`inner`, default ew with scale sum: w = α) for the
// gradients α_i g_i and the losses α_i L_i. The step that moves α is made with the new ones.
// Why the plain thing fails: an auxiliary task helps a main one with few labels only as far as it
// pulls the parameters where that one would with many; how far is not known beforehand.
// Limits: rate = 0 -> the inner method; a = 1 -> α = 1 for ever; a = 0 -> the inner method of the
// main task; equal auxiliary gradients keep equal weights.
// Scale: the rule is the paper's, in squared gradients, so α moves more where gradients are larger;
// `scale: main` divides the slope by ‖g_m‖² (gradnorm: by ‖g_m‖), and scaling all gradients then
// changes nothing. A move that is no finite number is left out and told (kDegenerate).
// Absent tasks: keep their weights; those present keep their sum. Without the main task, or without
// a Gram matrix, the move waits for the next step.
// Class: G, or what the inner method is; needs() is the inner method's alone between the moves, so
// that with ew all but every n-th step cost one backward pass.
// State: α, L(0), the position in the period, and the inner method's.
// Errors: a task that does not exist (kInvalidArgument); gradnorm: a first loss of 0 (kNumeric).
// Certificate: the inner method's. Cost: O(k²) beside it.
// Paper: Shi, Hoffman, Saenko, Darrell and Xu, "Auxiliary Task Reweighting for Minimum-data
// Learning", NeurIPS 2020, arXiv 2010.08244, algorithm 1 without its noise.
#pragma once

#include <detente/balance/method.h>

#include <cstdint>
#include <memory>

namespace detente::balance {

struct ArmlOptions {
  enum class Rule { kArml, kGradnorm };
  enum class Scale { kPaper, kMain };

  std::int64_t task = 0;    // the main one, counted from 0 in the order of the tasks
  std::int64_t every = 20;  // >= 1
  double rate = 0.05;       // >= 0
  Rule rule = Rule::kArml;
  Scale scale = Scale::kPaper;

  void describe(FieldVisitor& visitor);
};

std::unique_ptr<Method> make_arml();

}  // namespace detente::balance
