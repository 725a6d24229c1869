// SPDX-License-Identifier: Apache-2.0
// How gradients conflict: the measures of the "tragic triad" of multi-task learning, all from inner
// products that a training step has anyway.
//
// Notation as in method.h; cos φ the cosine of two gradients, n their norms. Relative quantities
// are 0 where a gradient is zero. Class G cost: O(k²). Paper: Yu et al. (PCGrad), NeurIPS 2020,
// arXiv 2001.06782, definitions 1 to 3 and theorem 2.
#pragma once

#include <detente/core/matrix.h>

#include <cstddef>
#include <vector>

namespace detente::balance {

// What two gradients say about each other.
struct PairDiagnostics {
  std::size_t i = 0;
  std::size_t j = 0;                // i < j
  double cosine = 0;                // cos φ in [-1, 1]
  double magnitude_similarity = 0;  // Φ = 2 n_i n_j/(n_i² + n_j²) in [0, 1]; 1 for equal norms
  double xi = 0;  // ξ = (1 − cos² φ) ‖g_i − g_j‖²/‖g_i + g_j‖²; infinite for g_i = −g_j
  bool conflicting = false;  // cos φ < 0
  bool dominated = false;    // condition (a): cos φ <= −Φ
};

PairDiagnostics diagnose_pair(MatrixView gram, std::size_t i, std::size_t j);
// All pairs, row by row; none for k = 1.
std::vector<PairDiagnostics> diagnose_pairs(MatrixView gram);

// k×k, unit diagonal; rows of zero gradients are zero.
Matrix cosine_matrix(MatrixView gram);
// Φ for all pairs, k×k, unit diagonal.
Matrix magnitude_similarity(MatrixView gram);
// The share of pairs with a negative cosine, in [0, 1]; 0 for k = 1.
double conflict_fraction(MatrixView gram);

// Multi-task curvature H = ∫₀¹ gᵀ ∇²L(θ + a(θ′ − θ)) g da of the total loss along its own gradient
// g, for θ′ = θ − t g with step t > 0, from two gradients: (‖g‖² − ⟨g, ∇L(θ′)⟩)/t. Exact.
double curvature_from_gradients(double squared_norm, double inner_after, double step);
// The estimate used in the paper's experiments, 2 [L(θ′) − L(θ) − ⟨∇L(θ), θ′ − θ⟩], divided by t²:
// the same integral weighted by 2(1 − a), so equal to the other form on quadratics. For θ′ = θ − t
// g the inner product is −t‖g‖².
double curvature_from_losses(double before, double after, double inner_step, double step);

// The conditions of theorem 2: where all hold, one step of pcgrad (sum) of length t ends no higher
// than one of the plain sum.
struct TriadConditions {
  bool dominated = false;   // (a) cos φ <= −Φ
  bool curved = false;      // (b) ℓ >= ξ L
  bool large_step = false;  // (c) t >= 2/(ℓ − ξ L)

  bool all() const { return dominated && curved && large_step; }
};

// For two tasks: `curvature` is H of the sum along g = g₁ + g₂ (so ℓ = H/‖g‖²), `lipschitz` the
// largest curvature L of the sum, t the step.
TriadConditions triad_conditions(const PairDiagnostics& pair,
                                 double curvature,
                                 double squared_norm,
                                 double lipschitz,
                                 double step);

}  // namespace detente::balance
