// SPDX-License-Identifier: Apache-2.0
// The part that each example has in a loss's gradient, as inner products with given directions and
// without a gradient per example in memory. A layer is linear in its parameters, so that
//
//   ⟨∇_i, v⟩ = Σ_layers ⟨δ_i, layer(x_i; v)⟩
//
// with δ_i the gradient at the layer's output and layer(x_i; v) what the layer makes of its input with
// v in the place of its parameters: one more use of the layer for each direction, and the gradients at
// the layers' outputs from one pass for each loss.
//
//   autograd::ExampleParts parts(predictions, parameters);
//   for (const auto& loss : losses) parts.add(loss);     // before the graph is freed
//   ...
//   const at::Tensor products = parts.products(direction, group_of, groups);   // [K, N, groups]
#pragma once

#include <detente/autograd/graph.h>
#include <detente/autograd/layers/layer_rule.h>

#include <cstdint>
#include <vector>

namespace detente::autograd {

// One layer that is a linear map of rows, y = x Wᵀ + b, with R rows of each example.
struct RowLayer {
  int weight = -1;
  int bias = -1;        // -1: none
  at::Tensor input;     // [N, R, in]; of a convolution unfolded, as its weight's dimensions follow
  at::Tensor gradient;  // [N, R, out], of the loss at the layer's output
};

class ExampleParts {
 public:
  // `predictions`: what the losses are made from alone, all of dimension 0 = N examples, with their
  // graph. Keeps the layers' inputs until it goes. Examples whose rows meet (batch statistics) are told
  // apart by where a layer's rows belong. Throws kInvalidArgument without predictions, kShape for
  // another N.
  ExampleParts(const TensorList& predictions, const TensorList& parameters);

  std::int64_t examples() const { return examples_; }
  // Per parameter: is all that it does in layers whose examples can be told apart? The others have no
  // part in products(), but in other_products().
  const std::vector<bool>& followed() const { return followed_; }

  // A loss (a scalar of the predictions; undefined: 0), under the next number. One pass down to the
  // layers' outputs; the graph is kept.
  void add(const at::Tensor& loss);
  std::int64_t losses() const { return losses_; }

  // Of each loss, example and group of parameters, the inner product of the example's part of the loss's
  // gradient with the direction: [K, N, groups], float64 on the host. Summed over the examples these are
  // those of the whole gradient. `direction`: per parameter of its shape, undefined: 0; `group_of`: per
  // parameter, from 0 to groups - 1.
  at::Tensor products(const TensorList& direction,
                      const std::vector<int>& group_of,
                      std::int64_t groups) const;

  // Loss number `loss` at the layers that are linear maps of rows and that it reaches; of parameters that
  // are followed and act in one place alone.
  std::vector<RowLayer> row_layers(std::int64_t loss) const;

  // What products() gives, of the parameters that are not followed, for several directions at once; from the
  // predictions once more, equal to the first ones and with their graph. By LibTorch alone: the
  // predictions' derivative along the direction is the derivative of their gradient, which costs a
  // pass more and another one for each direction and group. Throws what LibTorch throws for
  // operations whose gradient has no derivative.
  std::vector<at::Tensor> other_products(const TensorList& predictions,
                                         const std::vector<TensorList>& directions,
                                         const std::vector<int>& group_of,
                                         std::int64_t groups) const;

 private:
  void add_use(std::size_t use,
               const at::Tensor& weight,
               const at::Tensor& bias,
               at::Tensor group_products) const;

  TensorList predictions_;
  TensorList parameters_;
  Graph graph_;
  std::vector<LayerInput> inputs_;  // per use; of those that cannot be followed empty
  std::vector<bool> followed_;
  std::int64_t examples_ = 0;
  std::int64_t losses_ = 0;
  std::vector<TensorList> deltas_;  // per loss and use, undefined where it does not reach
  std::vector<TensorList> above_;   // per loss and prediction, likewise
};

}  // namespace detente::autograd
