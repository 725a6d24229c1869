// SPDX-License-Identifier: Apache-2.0
// What the encoders of texts and images have in common. No operation here holds a size of its inputs
// (Trunk::portable_views).
#pragma once

#include <detente/tensor/fwd.h>

namespace detente::nn {

// softmax(query keyᵀ) value, [B, heads, n, d] each; `blocked`, which broadcasts to [B, heads, n, n], is
// true where a token must not be looked at; undefined: all are looked at. The heads side by side, [B, n, heads d].
at::Tensor attend(const at::Tensor& query,
                  const at::Tensor& key,
                  const at::Tensor& value,
                  const at::Tensor& blocked);

// 0, 1, 2, ... along every row of ids [B, n].
at::Tensor token_places(const at::Tensor& ids);

}  // namespace detente::nn
