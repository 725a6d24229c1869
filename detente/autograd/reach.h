// SPDX-License-Identifier: Apache-2.0
// Which parameters the losses depend on, read from the autograd graph.
#pragma once

#include <detente/tensor/fwd.h>

#include <span>
#include <vector>

namespace detente::autograd {

struct Reach {
  // Leaf tensors that require a gradient, in the order in which the graph leads to them; each once.
  TensorList parameters;
  // losses × parameters: whether the loss depends on the parameter.
  std::vector<std::vector<bool>> by_loss;
  // A part of the graph was compiled to one node (torch.compile): what goes in counts for all that comes out.
  bool compiled = false;
};

// An undefined loss depends on nothing; one that is a parameter itself on that one. Throws
// kInvalidArgument for a defined loss without a graph. Cost: one visit per node and loss.
Reach parameters_behind(std::span<const at::Tensor> losses);

}  // namespace detente::autograd
