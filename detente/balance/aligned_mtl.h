// SPDX-License-Identifier: Apache-2.0
// Aligned-MTL: the gradients are replaced by the nearest orthogonal ones of equal length, then
// averaged.
//
// Rule: gram = V Λ Vᵀ, R its rank; B = σ V_R Λ_R^(−1/2) V_Rᵀ with σ² the smallest non-zero
// eigenvalue (scale = min), the median or the mean of the non-zero ones; w = B p, p = 1/k. All
// singular values of B J equal σ.
// Why the plain thing fails: conflicting or dominating gradients show as a badly conditioned J,
// and the mean follows its largest singular direction.
// Limits: k = 1 -> w = 1; orthogonal rows of equal norm -> w = 1/k; identical rows g -> d = g;
// zero rows change nothing but the rank; dependent rows cannot become orthogonal, are aligned
// within their span, and the result says so (kDegenerate); scaling all gradients leaves w unchanged. w jumps where
// the rank changes.
// Cost: O(k³) (one eigendecomposition). Class G.
// Paper: Senushkin, Patakin, Kuznetsov and Konushin, CVPR 2023, arXiv 2305.19000.
#pragma once

#include <detente/balance/method.h>
#include <detente/balance/preset.h>

#include <memory>

namespace detente::balance {

struct AlignedMtlOptions {
  enum class Scale { kMin, kMedian, kRmse };
  Preset preset = Preset::kPaper;  // fills times_k when it is set by name
  Scale scale = Scale::kMin;
  std::vector<double> preference;  // p, one per task, >= 0; empty = 1/k
  bool times_k = false;            // empty = 1, the sum, as in the authors' code

  void describe(FieldVisitor& visitor);
};

// Throws as Method::solve.
Result aligned_mtl(MatrixView gram, const AlignedMtlOptions& options = {});

std::unique_ptr<Method> make_aligned_mtl();

}  // namespace detente::balance
