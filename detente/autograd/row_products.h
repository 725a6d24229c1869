// SPDX-License-Identifier: Apache-2.0
// Inner products between the gradients of single examples, layer by layer, without a gradient per
// example in memory: what the value of examples for each other is made of.
//
//   const at::Tensor each = ...;                        // [N], one loss per example
//   const std::vector<std::int64_t> all(N, 0);          // every example counts
//   const autograd::Graph graph = autograd::read_graph({each, each}, parameters, all);
//   const auto input = autograd::read_layer_input(graph.uses[u], parameters);
//   const auto delta = autograd::gradients_at({edge_of(each)}, {ones}, {graph.uses[u].output()},
//   ...);
//
// Given twice, the losses share everything below them, which is what read_graph() looks at.
#pragma once

#include <detente/autograd/layers/layer_rule.h>

namespace detente::autograd {

// products[i][j] += ⟨∇_i, ∇_j⟩ over the use's weight and bias (those of them that are shared
// parameters), ∇_i the gradient of example i of batch a, ∇_j that of example j of batch b.
// `delta`: the gradient at the layer's output, of the sum over the batch's examples; `products`
// [N_a, N_b], float32 or float64, on the same device. The examples of both batches lie as use.inner
// says (both of one sequence length, where that is not the examples' own affair); examples must not
// have been mixed (kInvalidArgument: inner is 0). Uses of one weight at several places have
// products with each other that this does not see.
void add_row_products(const LayerUse& use,
                      const LayerInput& input_a,
                      const at::Tensor& delta_a,
                      const LayerInput& input_b,
                      const at::Tensor& delta_b,
                      at::Tensor& products);

}  // namespace detente::autograd
