// SPDX-License-Identifier: Apache-2.0
// y_g = x_g W_g for each g, or W_g x_g: a batched product of matrices with a parameter. What einsum makes of
// projections with a dimension of heads, and of a mixture's experts.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/row_pairs.h>
#include <detente/autograd/layers/segments.h>
#include <torch/csrc/autograd/generated/Functions.h>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;

LayerInput read_bmm(const LayerUse& use, const TensorList&) {
  const auto& product = static_cast<const gen::BmmBackward0&>(*use.node);
  return {.input = (use.side == 0 ? product.mat2_ : product.self_).unpack()};
}

// With the batch in dimension 1 and the parameter on the right: [G, R, in] and [G, R, out].
struct Rows {
  at::Tensor input, gradient;
  std::int64_t within, outer;  // of the batch in R
};

Rows rows_of(const LayerUse& use,
             const LayerInput& layer,
             const at::Tensor& gradient,
             std::int64_t examples) {
  const bool left = use.side == 0;
  Rows rows{.input = left ? layer.input.transpose(1, 2) : layer.input,
            .gradient = left ? gradient.transpose(1, 2) : gradient};
  rows.within = left ? use.inner : use.inner / gradient.size(2);
  rows.outer = rows.gradient.size(1) / (rows.within * examples);
  return rows;
}

// Of the parameter as the product has it, [G, in, out] on the right and [G, out, in] on the left.
at::Tensor gradient_from(const LayerUse& use, const at::Tensor& input, const at::Tensor& gradient) {
  return use.side == 0 ? gradient.transpose(1, 2).bmm(input) : input.transpose(1, 2).bmm(gradient);
}

void grouped_task_gradients(const LayerUse& use,
                            const LayerInput& layer,
                            const at::Tensor& gradient,
                            const ExampleTasks& examples,
                            const TaskBlock& weight,
                            const TaskBlock&) {
  if (!weight.rows.defined()) return;
  Rows rows = rows_of(use, layer, gradient, examples.size());
  const Segments segments = segments_of(examples, rows.outer, rows.within);
  if (segments.order.defined()) {
    const at::Tensor order = segments.order.to(gradient.device());
    rows.input = rows.input.index_select(1, order);
    rows.gradient = rows.gradient.index_select(1, order);
  }
  for (std::size_t k = 0; k < segments.begin.size(); ++k) {
    const std::int64_t begin = segments.begin[k];
    const std::int64_t count = segments.end[k] - begin;
    write_row(weight,
              static_cast<std::int64_t>(k),
              gradient_from(
                  use, rows.input.narrow(1, begin, count), rows.gradient.narrow(1, begin, count)));
  }
}

void grouped_row_products(const LayerUse& use,
                          const ExampleGradients& a,
                          const ExampleGradients& b,
                          at::Tensor& products) {
  const auto each = [&](const ExampleGradients& of) {
    const Rows rows = rows_of(use, of.layer, of.gradient, of.examples);
    const auto by_example = [&](const at::Tensor& x) {  // [G, N, R/N, n]
      const at::Tensor split =
          x.reshape({x.size(0), rows.outer, of.examples, rows.within, x.size(2)});
      return split.transpose(1, 2).reshape({x.size(0), of.examples, -1, x.size(2)});
    };
    const at::Tensor own = by_example(rows.input).transpose(2, 3).matmul(by_example(rows.gradient));
    return own.transpose(0, 1).reshape({of.examples, -1});
  };
  add_products(each(a), each(b), products);
}

at::Tensor grouped_moved(const LayerUse& use,
                         const LayerInput& layer,
                         const at::Tensor& weight,
                         const at::Tensor&) {
  const std::int64_t groups = layer.input.size(0);
  const at::Tensor x = layer.input.to(weight.scalar_type());
  return use.side == 0 ? weight.reshape({groups, -1, x.size(1)}).bmm(x)
                       : x.bmm(weight.reshape({groups, x.size(2), -1}));
}

}  // namespace

std::span<const LayerRule> grouped_linear_rules() {
  static const LayerRule rule = {.kind = LayerKind::kGroupedLinear,
                                 .node = "BmmBackward0",
                                 .weight_edge = LayerRule::kEitherSide,
                                 .read = read_bmm,
                                 .task_gradients = grouped_task_gradients,
                                 .row_products = grouped_row_products,
                                 .moved = grouped_moved};
  return {&rule, 1};
}

}  // namespace detente::autograd
