// SPDX-License-Identifier: Apache-2.0
// Embeddings from the training sentences alone, before any training: tokens that keep the same
// company start close to each other.
//
// Counts c(x, y) of token x within `window` positions of token y; positive pointwise mutual
// information max(0, log(c(x,y) T / (r(x) s(y)))) with row, column and total sums r, s, T;
// truncated SVD M ≈ U S Vᵀ by randomised subspace iteration (Halko, Martinsson and Tropp, SIAM
// Review 2011, algorithm 4.4); embedding U S^½ (Levy, Goldberg and Dagan, TACL 2015), every row
// scaled to norm √width. Tokens without neighbours get normal numbers of that size.
#pragma once

#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::text {

struct PpmiOptions {
  std::size_t width = 64;
  std::size_t window = 4;
  // Ids per position in the sentences (a syllable and its pairs, say). All of them are rows; only
  // the first of a position is context.
  std::size_t ids_per_token = 1;
  int iterations = 3;  // of the subspace
};

// [vocabulary × width]; deterministic given `rng`. Cost: about 8 · iterations · width
// multiply-adds per distinct pair of neighbours, plus (vocabulary · width²).
Matrix ppmi_embedding(std::span<const std::vector<std::int32_t>> sentences,
                      std::size_t vocabulary,
                      const PpmiOptions& options,
                      Rng& rng);

}  // namespace detente::text
