// SPDX-License-Identifier: Apache-2.0
// Small steps that all ways to the gradients share: passes of LibTorch through the graph, gradients
// fit for .grad, weights as a tensor.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/graph_nodes.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace detente::autograd {

// An embedding made with sparse(true) has sparse gradients; sums of tasks' gradients are dense.
TensorList dense(TensorList gradients);

// Gradients of Σ_i factors[i]·losses[i] with respect to `parameters`; undefined where not reached.
TensorList weighted_gradients(const TensorList& losses,
                              const std::vector<double>& factors,
                              const TensorList& parameters,
                              bool keep_graph);

// Runs LibTorch from `roots` and returns the gradients at `wanted`, undefined where the roots do
// not reach them.
TensorList gradients_at(const std::vector<Edge>& roots,
                        const TensorList& root_gradients,
                        const std::vector<Edge>& wanted,
                        bool keep_graph);

// A gradient may be an expanded tensor or lie in memory that others see (the graph hands the same
// tensor to both arguments of a sum); .grad must be its parameter's own. Copies where that is so.
at::Tensor owned(at::Tensor gradient, const at::Tensor& parameter);
TensorList owned(TensorList gradients, const TensorList& parameters);

// Those of one task's own parameters, which stand in `found` from place `first` on.
TensorList owned_from(TensorList& found, std::size_t first, const TensorList& parameters);

// Σ ‖·‖² in double over those that are defined.
double squared_norm(const TensorList& gradients);

// Calls pass(0), ..., pass(count - 1), one after the other or several at once, each on one of
// LibTorch's threads. Exceptions come out either way.
void for_each_pass(std::size_t count,
                   bool side_by_side,
                   const std::function<void(std::size_t)>& pass);
// Frees what the graph behind the losses has saved, for passes that had to keep it.
void free_graph(const TensorList& losses);

// Some node behind the losses runs code of the user's when a gradient passes.
bool graph_has_hooks(const TensorList& losses);

// [k], rounded once to the type of `like`.
at::Tensor weights_like(const std::vector<double>& weights, const at::Tensor& like);

}  // namespace detente::autograd
