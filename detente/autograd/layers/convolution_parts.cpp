// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/convolution_parts.h>
#include <detente/autograd/layers/row_pairs.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

namespace detente::autograd {

namespace gen = torch::autograd::generated;

namespace {

// One number stands for all dimensions, and the graph keeps it as it was given.
Shape for_each_dimension(Shape list, std::size_t dims) {
  if (list.size() == 1) list.resize(dims, list.front());
  return list;
}

}  // namespace

bool is_transposed_convolution(const Node& node) {
  return static_cast<const gen::ConvolutionBackward0&>(node).transposed;
}

LayerInput read_convolution(const LayerUse& use, const TensorList&) {
  const auto& node = static_cast<const gen::ConvolutionBackward0&>(*use.node);
  LayerInput layer;
  layer.input = node.input_.unpack();
  layer.kernel = node.weight_.unpack();
  const auto dims = static_cast<std::size_t>(layer.kernel.dim()) - 2;
  layer.stride = for_each_dimension(tensor::as_ints(node.stride), dims);
  layer.padding = for_each_dimension(tensor::as_ints(node.padding), dims);
  layer.dilation = for_each_dimension(tensor::as_ints(node.dilation), dims);
  layer.output_padding = for_each_dimension(tensor::as_ints(node.output_padding), dims);
  layer.groups = tensor::as_int(node.groups);
  return layer;
}

at::Tensor kernel_gradient(const LayerInput& layer,
                           bool transposed,
                           const at::Tensor& gradient,
                           const at::Tensor& input) {
  return std::get<1>(at::convolution_backward(gradient,
                                              input,
                                              layer.kernel,
                                              c10::nullopt,
                                              layer.stride,
                                              layer.padding,
                                              layer.dilation,
                                              transposed,
                                              layer.output_padding,
                                              layer.groups,
                                              {false, true, false}));
}

void channel_task_sums(const LayerUse& use,
                       const at::Tensor& gradient,
                       const ExampleTasks& examples,
                       const TaskBlock& bias) {
  if (!bias.rows.defined()) return;
  const Shape channels = align_channels(gradient.size(1), static_cast<std::size_t>(gradient.dim()));
  task_sums(gradient, channels, use.inner, examples, bias);
}

void kernel_task_gradients(
    const LayerInput& layer,
    const at::Tensor& gradient,
    const ExampleTasks& examples,
    const TaskBlock& weight,
    const std::function<void(std::int64_t k, const at::Tensor& own, const at::Tensor& in)>& form) {
  if (!weight.rows.defined()) return;
  const Segments segments = segments_of(examples, 1, 1);
  const at::Tensor g = in_order(gradient, segments);
  const at::Tensor x = in_order(layer.input, segments);
  for_each_task(segments.begin.size(), gradient.is_cpu(), [&](std::size_t k) {
    const auto task = static_cast<std::int64_t>(k);
    const std::int64_t n = segments.end[k] - segments.begin[k];
    if (n == 0) {
      if (!weight.add) weight.rows[task].zero_();
      return;
    }
    form(task, g.narrow(0, segments.begin[k], n), x.narrow(0, segments.begin[k], n));
  });
}

void put_row(const TaskBlock& to, std::int64_t k, const at::Tensor& found) {
  const at::Tensor row = to.rows[k].view(found.sizes());
  if (to.add) {
    row.add_(found);
  } else {
    row.copy_(found);
  }
}

void kernel_row_products(const LayerUse& use,
                         bool transposed,
                         const ExampleGradients& a,
                         const ExampleGradients& b,
                         at::Tensor& products) {
  if (use.weight < 0) return;
  const auto formed = [&](const ExampleGradients& of) {
    TensorList rows;
    for (std::int64_t i = 0; i < of.examples; ++i) {
      rows.push_back(
          kernel_gradient(
              of.layer, transposed, of.gradient.narrow(0, i, 1), of.layer.input.narrow(0, i, 1))
              .flatten());
    }
    return at::stack(rows);
  };
  add_products(formed(a), formed(b), products);
}

void channel_row_products(const LayerUse& use,
                          const ExampleGradients& a,
                          const ExampleGradients& b,
                          at::Tensor& products) {
  if (use.bias < 0) return;
  add_products(a.gradient.flatten(2).sum(2), b.gradient.flatten(2).sum(2), products);
}

at::Tensor convolution_moved(const LayerInput& layer,
                             bool transposed,
                             const at::Tensor& weight,
                             const at::Tensor& bias) {
  if (!weight.defined()) {
    return bias.view(align_channels(bias.numel(), static_cast<std::size_t>(layer.input.dim())));
  }
  return at::convolution(layer.input.to(weight.scalar_type()),
                         weight.reshape(layer.kernel.sizes()),
                         bias,
                         layer.stride,
                         layer.padding,
                         layer.dilation,
                         transposed,
                         layer.output_padding,
                         layer.groups);
}

}  // namespace detente::autograd
