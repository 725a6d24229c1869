// SPDX-License-Identifier: Apache-2.0
// The Gram matrix of several losses' gradients by itself, for looking at tasks without training:
// nothing is solved and no .grad is written.
//
//   const Matrix gram = autograd::task_gram(losses, model.parameters());
#pragma once

#include <detente/core/matrix.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <span>

namespace detente::autograd {

struct TaskGramOptions {
  // Where the losses have examples of their own in one joint batch: the task of each example, -1
  // for none. Empty: read from the graph, where it tells.
  std::span<const std::int64_t> task_of_example = {};
  // Never K gradients at once, but stretches of the model one after the other.
  bool low_memory = false;
};

// ⟨∇L_k, ∇L_l⟩ over the parameters of `shared` with requires_grad, k×k; exact, by the cheapest way
// the graph allows. An undefined loss is an absent task: its entries are NaN, as are those of
// gradients that are not finite. Frees the graph behind the losses.
// Throws kShape when a loss is no scalar, kInvalidArgument when it has no graph.
Matrix task_gram(const TensorList& losses,
                 const TensorList& shared,
                 const TaskGramOptions& options = {});

}  // namespace detente::autograd
