// SPDX-License-Identifier: Apache-2.0
// How well each token of one sentence finds a partner in the other: soft alignment without learned
// attention (the idea of BERTScore, Zhang et al., ICLR 2020, arXiv 1904.09675, as model features).
//
//   s_i = max_j cos(x_i, y_j)     for every token i of the first sentence, t_j likewise
//   a = Σ w_i s_i / Σ w_i, b = Σ v_j t_j / Σ v_j      weighted means; a', b' the plain means
//   features: a + b, |a − b|, a' + b', a·b            symmetric in the two sentences
#pragma once

#include <detente/tensor/fwd.h>

namespace detente::nn {

inline constexpr int kAlignmentFeatures = 4;

// x [B, n, d], y [B, m, d]; masks [B, n], [B, m] (bool, true for real tokens, at least one a row);
// weights like the masks, >= 0, 0 where masked. Returns [B, 4] with its graph. A zero vector has
// cosine 0 with everything.
at::Tensor alignment_features(const at::Tensor& x,
                              const at::Tensor& y,
                              const at::Tensor& x_mask,
                              const at::Tensor& y_mask,
                              const at::Tensor& x_weight,
                              const at::Tensor& y_weight);

}  // namespace detente::nn
