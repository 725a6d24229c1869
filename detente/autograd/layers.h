// SPDX-License-Identifier: Apache-2.0
// Parameter gradients of single layers from their input and their output's gradient: per task from
// the examples of a joint batch, or as inner products without forming them. By the rules of the
// kinds, layers/layer_rule.h.
#pragma once

#include <detente/autograd/layers/layer_rule.h>
#include <detente/core/matrix.h>

namespace detente::autograd {

// The use's input, detached.
LayerInput read_layer_input(const LayerUse& use, const TensorList& shared);

// See LayerRule.
void task_gradients(const LayerUse& use,
                    const LayerInput& layer,
                    const at::Tensor& gradient,
                    const ExampleTasks& examples,
                    const TaskBlock& weight,
                    const TaskBlock& bias);

// Whether anything but LibTorch's own weight gradient is known for the layer when all examples
// belong to one task.
bool readable_by_pass(const LayerUse& use);

// The layer as a linear map of rows, see LayerRule.
bool has_rows(const LayerUse& use, const LayerInput& layer);
at::Tensor layer_rows(const LayerUse& use, const LayerInput& layer);
at::Tensor gradient_rows(const LayerUse& use, const at::Tensor& gradient);

// Adds ⟨∇W_k, ∇W_l⟩ (and the bias's, if it has one) for all k, l to `gram`, without forming ∇W_k:
// ⟨δ_kᵀx, δ_lᵀx⟩ = ⟨δ_k, (x xᵀ) δ_l⟩. `gradients[k]`: [R, out], undefined for zero.
void add_ghost_gram(const at::Tensor& x, const TensorList& gradients, bool with_bias, Matrix& gram);

}  // namespace detente::autograd
