// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions of 1, 2 or 3 spatial dimensions. Their weight gradient is that of the
// convolution they turn round, xᵀ times unfolded δ: what differs from task to task is the unfolded
// side, so that they have no rows in the sense of LayerRule.
#include <detente/autograd/layers/convolution_parts.h>

namespace detente::autograd {
namespace {

void transposed_task_gradients(const LayerUse& use,
                               const LayerInput& layer,
                               const at::Tensor& gradient,
                               const ExampleTasks& examples,
                               const TaskBlock& weight,
                               const TaskBlock& bias) {
  channel_task_sums(use, gradient, examples, bias);
  const auto form = [&](std::int64_t k, const at::Tensor& own, const at::Tensor& in) {
    put_row(weight, k, kernel_gradient(layer, /*transposed=*/true, own, in));
  };
  kernel_task_gradients(layer, gradient, examples, weight, form);
}

void transposed_row_products(const LayerUse& use,
                             const ExampleGradients& a,
                             const ExampleGradients& b,
                             at::Tensor& products) {
  channel_row_products(use, a, b, products);
  kernel_row_products(use, /*transposed=*/true, a, b, products);
}

at::Tensor transposed_moved(const LayerUse&,
                            const LayerInput& layer,
                            const at::Tensor& weight,
                            const at::Tensor& bias) {
  return convolution_moved(layer, /*transposed=*/true, weight, bias);
}

}  // namespace

std::span<const LayerRule> transposed_convolution_rules() {
  static const LayerRule rule = {.kind = LayerKind::kTransposedConvolution,
                                 .node = "ConvolutionBackward0",
                                 .weight_edge = 1,
                                 .bias_edge = 2,
                                 .applies = is_transposed_convolution,
                                 .read = read_convolution,
                                 .task_gradients = transposed_task_gradients,
                                 .row_products = transposed_row_products,
                                 .moved = transposed_moved};
  return {&rule, 1};
}

}  // namespace detente::autograd
