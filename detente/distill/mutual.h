// SPDX-License-Identifier: Apache-2.0
// Deep mutual learning (Zhang, Xiang, Hospedales, Lu, CVPR 2018, arXiv 1706.00384): P networks
// train side by side, each also on the others' answers. Network k adds to its own loss
//
//   D_k = 1/(P − 1) Σ_{l≠k} KL(p_l ‖ p_k),  p = softmax(z)
//
// summed over classes, mean over rows, the peers' p_l constants. Gradient: (p_k − mean_l p_l) / n.
#pragma once

#include <detente/tensor/fwd.h>

#include <vector>

namespace detente::distill {

// own_logits [n, C] with its graph, peers' alike (their graphs get nothing), one peer or more.
// Throws kInvalidArgument for no peer, shapes that differ, no row and one class.
at::Tensor mutual_term(const at::Tensor& own_logits, const std::vector<at::Tensor>& peers_logits);

}  // namespace detente::distill
