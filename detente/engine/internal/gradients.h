// SPDX-License-Identifier: Apache-2.0
// Small steps that all strategies share: weighted backward passes, gradients fit for .grad, weights
// as a tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/tensor/fwd.h>

#include <vector>

namespace detente::engine::internal {

// Gradients of Σ_i factors[i]·losses[i] with respect to `parameters`; undefined where not reached.
TensorList weighted_gradients(const TensorList& losses,
                              const std::vector<double>& factors,
                              const TensorList& parameters,
                              bool keep_graph);

// A gradient may be an expanded tensor or lie in memory that others see (the graph hands the same
// tensor to both arguments of a sum); .grad must be its parameter's own. Copies where that is so.
at::Tensor owned(at::Tensor gradient, const at::Tensor& parameter);
TensorList owned(TensorList gradients, const TensorList& parameters);

// Σ ‖·‖² in double over those that are defined.
double squared_norm(const TensorList& gradients);

// [k], rounded once to the type of `like`.
at::Tensor weights_like(const std::vector<double>& weights, const at::Tensor& like);

}  // namespace detente::engine::internal
