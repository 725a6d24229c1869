// SPDX-License-Identifier: Apache-2.0
// EPO search: towards the Pareto point where the weighted losses r_i L_i are equal.
//
// With h = r⊙L/Σ(r⊙L), μ = Σ h log(k h) its distance from uniform (KL), a = r⊙(log(k h) − μ) and
// q = gram a: while μ > eps (balance), maximise βᵀq over β in Δ with (gram β)_j >= 0 where r_j L_j
// is largest, (gram β)_j >= q_j where q_j <= 0, no demand elsewhere; gram β >= 0 when no q_j is
// positive. Else (dominance), maximise 𝟏ᵀ gram β over β in Δ with gram β >= 0 and
// βᵀq >= min(max_j q_j, 0), the latter unless `relax`. The weights are β.
// Why the plain thing fails: fixed weights do not decide which trade-off is reached, and on a
// concave front they reach its ends only.
// Limits: k = 1 -> 1; identical rows g -> d = g. In balance some losses may rise: that is its way
// to the ray. Preference and losses count in ratios only; scaling all gradients leaves β unchanged.
// If dominance on the ray has no solution the relaxed one is used, which always has (mgda's).
// Errors: a negative loss (kNumeric); a preference of the wrong length (kInvalidArgument).
// Certificate: duality gap or violation of the linear program, relative to the terms that form it.
// Cost: a dense dual simplex, O(k²) per pivot and some k pivots; no allocation after the first
// call. Class G+L.
// Paper: Mahapatra and Rajan, ICML 2020; longer version arXiv 2010.06313.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <span>
#include <vector>

namespace detente::balance {

struct EpoOptions {
  std::vector<double> preference;  // r, > 0, one per task; empty = all equal
  double eps = 1e-4;               // of the distance μ at which balance ends
  bool relax = false;              // dominance may leave the ray

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve.
Result epo(MatrixView gram, std::span<const double> losses, const EpoOptions& options = {});

std::unique_ptr<Method> make_epo();

}  // namespace detente::balance
