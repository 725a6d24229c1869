// SPDX-License-Identifier: Apache-2.0
// Backward of functions that act on every number by itself, for part of a batch.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/graph.h>

namespace detente::autograd {

struct Activation {
  // What the node keeps for its backward, of the output's shape.
  at::Tensor (*saved)(Node&);
  // `in` = `out`'s gradient times the derivative at `saved`, for some rows of all three. `in` may
  // be the same tensor as `out`.
  void (*backward)(const Node&, at::Tensor& in, const at::Tensor& out, const at::Tensor& saved);
  bool rectifier = false;
};

// Null for anything else, also when a second argument needs a gradient.
const Activation* activation_of(Node& node);

}  // namespace detente::autograd
