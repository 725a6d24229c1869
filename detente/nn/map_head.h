// SPDX-License-Identifier: Apache-2.0
// The head of a task with an answer for each pixel, as SegNet and MTAN have it (Liu et al. 2019): a 3×3
// convolution of as many channels as the features, then one of 1×1 to the outputs, nothing between them.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <string>

namespace detente::nn {

// Channels of the prediction: the classes, 1 or 3. kInternal for a kind without maps.
std::int64_t map_outputs(TaskKind kind, std::int64_t classes);

// "name.conv.weight", "name.out.weight", each with ".bias": Xavier's normal weights, zeros.
void add_map_head(Parameters& parameters,
                  Draw& draw,
                  const std::string& name,
                  std::int64_t features,
                  std::int64_t outputs);
// [B, features, H, W] → [B, outputs, H, W]. kShape for features that are no maps.
at::Tensor map_head(const Parameters& parameters,
                    const at::Tensor& features,
                    const std::string& name);

// What a user reads of a prediction, in the same shape: probabilities of the classes, the depth, a
// vector of length 1.
at::Tensor map_answer(TaskKind kind, const at::Tensor& prediction);

}  // namespace detente::nn
