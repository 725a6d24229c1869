// SPDX-License-Identifier: Apache-2.0
// What a convolution and a transposed one have in common.
#pragma once

#include <detente/autograd/layers/segments.h>

namespace detente::autograd {

bool is_transposed_convolution(const Node& node);
LayerInput read_convolution(const LayerUse& use, const TensorList& shared);

// The weight's gradient for some examples, as LibTorch computes it.
at::Tensor kernel_gradient(const LayerInput& layer,
                           bool transposed,
                           const at::Tensor& gradient,
                           const at::Tensor& input);

// Each task's gradient of the bias.
void channel_task_sums(const LayerUse& use,
                       const at::Tensor& gradient,
                       const ExampleTasks& examples,
                       const TaskBlock& bias);

// Each task's gradient of the weight; `form` writes that of the examples `own`, `in` (there are
// some) of task k.
void kernel_task_gradients(
    const LayerInput& layer,
    const at::Tensor& gradient,
    const ExampleTasks& examples,
    const TaskBlock& weight,
    const std::function<void(std::int64_t k, const at::Tensor& own, const at::Tensor& in)>& form);
// Puts a gradient into task k's row.
void put_row(const TaskBlock& to, std::int64_t k, const at::Tensor& found);

// By one kernel gradient per example.
void kernel_row_products(const LayerUse& use,
                         bool transposed,
                         const ExampleGradients& a,
                         const ExampleGradients& b,
                         at::Tensor& products);
void channel_row_products(const LayerUse& use,
                          const ExampleGradients& a,
                          const ExampleGradients& b,
                          at::Tensor& products);

// See LayerRule::moved.
at::Tensor convolution_moved(const LayerInput& layer,
                             bool transposed,
                             const at::Tensor& weight,
                             const at::Tensor& bias);

}  // namespace detente::autograd
