// SPDX-License-Identifier: Apache-2.0
// Convolutions of 1, 2 or 3 spatial dimensions.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/convolution_parts.h>
#include <detente/autograd/layers/row_pairs.h>

namespace detente::autograd {
namespace {

bool is_convolution(const Node& node) { return !is_transposed_convolution(node); }

at::Tensor unfold(const at::Tensor& x, const LayerInput& layer) {
  const auto kernel = layer.kernel.sizes();
  return at::im2col(x, kernel.slice(2), layer.dilation, layer.padding, layer.stride);
}

// Few output positions make a matrix product on unfolded rows several times faster than the
// convolution's own weight gradient, whose cost there lies in the weight and not in the rows
// (docs/engine.md has the measurement).
bool unfolding_pays(const LayerInput& layer, const at::Tensor& gradient, std::int64_t examples) {
  return layer.kernel.dim() == 4 && layer.groups == 1 &&
         examples * gradient.size(2) * gradient.size(3) <= layer.kernel.size(0);
}

void convolution_task_gradients(const LayerUse& use,
                                const LayerInput& layer,
                                const at::Tensor& gradient,
                                const ExampleTasks& examples,
                                const TaskBlock& weight,
                                const TaskBlock& bias) {
  channel_task_sums(use, gradient, examples, bias);
  const std::int64_t out = gradient.size(1);
  const auto form = [&](std::int64_t k, const at::Tensor& own, const at::Tensor& in) {
    const std::int64_t n = own.size(0);
    if (!unfolding_pays(layer, gradient, n)) {
      put_row(weight, k, kernel_gradient(layer, /*transposed=*/false, own, in));
      return;
    }
    const at::Tensor columns = unfold(in, layer);  // [n, C·kernel, positions]
    const std::int64_t width = columns.size(1);
    const at::Tensor left = own.reshape({n, out, -1}).transpose(0, 1).reshape({out, -1});
    const at::Tensor right = columns.transpose(1, 2).reshape({-1, width});
    write_product(weight, k, {out, width}, left, right);
  };
  kernel_task_gradients(layer, gradient, examples, weight, form);
}

bool convolution_has_rows(const LayerUse&, const LayerInput& layer) {
  return layer.kernel.dim() == 4 && layer.groups == 1;
}

at::Tensor convolution_rows(const LayerUse&, const LayerInput& layer) {
  const at::Tensor columns = unfold(layer.input, layer);
  return columns.transpose(1, 2).reshape({-1, columns.size(1)});
}

at::Tensor convolution_gradient_rows(const at::Tensor& gradient) {
  return gradient.flatten(2).transpose(1, 2).reshape({-1, gradient.size(1)});
}

double convolution_row_count(const LayerInput& layer) {
  auto r = static_cast<double>(layer.input.size(0));
  for (std::size_t d = 0; d < 2; ++d) {
    const auto spatial = static_cast<std::int64_t>(d) + 2;
    const std::int64_t span = layer.dilation[d] * (layer.kernel.size(spatial) - 1) + 1;
    r *= static_cast<double>(
        (layer.input.size(spatial) + 2 * layer.padding[d] - span) / layer.stride[d] + 1);
  }
  return r;
}

void convolution_row_products(const LayerUse& use,
                              const ExampleGradients& a,
                              const ExampleGradients& b,
                              at::Tensor& products) {
  if (use.weight < 0 || !convolution_has_rows(use, a.layer)) {
    channel_row_products(use, a, b, products);
    kernel_row_products(use, /*transposed=*/false, a, b, products);
    return;
  }
  const auto rows_of = [&](const ExampleGradients& of) {
    return ExampleRows{unfold(of.layer.input, of.layer).transpose(1, 2),
                       of.gradient.flatten(2).transpose(1, 2)};
  };
  add_pair_products(rows_of(a), rows_of(b), use.bias >= 0, products);
}

at::Tensor plain_convolution_moved(const LayerUse&,
                                   const LayerInput& layer,
                                   const at::Tensor& weight,
                                   const at::Tensor& bias) {
  return convolution_moved(layer, /*transposed=*/false, weight, bias);
}

}  // namespace

std::span<const LayerRule> convolution_rules() {
  static const LayerRule rule = {.kind = LayerKind::kConvolution,
                                 .node = "ConvolutionBackward0",
                                 .weight_edge = 1,
                                 .bias_edge = 2,
                                 .applies = is_convolution,
                                 .read = read_convolution,
                                 .task_gradients = convolution_task_gradients,
                                 .row_products = convolution_row_products,
                                 .moved = plain_convolution_moved,
                                 .has_rows = convolution_has_rows,
                                 .rows = convolution_rows,
                                 .gradient_rows = convolution_gradient_rows,
                                 .row_count = convolution_row_count};
  return {&rule, 1};
}

}  // namespace detente::autograd
