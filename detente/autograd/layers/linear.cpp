// SPDX-License-Identifier: Apache-2.0
// y = x Wᵀ + b on rows of features: one node (addmm), or a product alone, to which a sum with the
// bias above may belong (layer_uses.cpp).
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/row_pairs.h>
#include <detente/autograd/layers/segments.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <array>
#include <string>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;

bool is_plain(const Node& node) {
  const auto& addmm = static_cast<const gen::AddmmBackward0&>(node);
  return addmm.alpha.toDouble() == 1.0 && addmm.beta.toDouble() == 1.0;
}

LayerInput read_addmm(const LayerUse& use, const TensorList&) {
  return {.input = static_cast<const gen::AddmmBackward0&>(*use.node).mat1_.unpack()};
}
LayerInput read_mm(const LayerUse& use, const TensorList&) {
  return {.input = static_cast<const gen::MmBackward0&>(*use.node).self_.unpack()};
}

void task_gradients_of_linear(const LayerUse& use,
                              const LayerInput& layer,
                              const at::Tensor& gradient,
                              const ExampleTasks& examples,
                              const TaskBlock& weight,
                              const TaskBlock& bias) {
  const std::int64_t out = gradient.size(-1);
  const at::Tensor g = gradient.reshape({-1, out});
  const std::int64_t within = use.inner / out;
  const std::int64_t outer = g.size(0) / (within * examples.size());
  const Segments segments = segments_of(examples, outer, within);
  const at::Tensor rows = in_order(g, segments).contiguous();
  const at::Tensor x =
      weight.rows.defined()
          ? in_order(layer.input.reshape({-1, layer.input.size(-1)}), segments).contiguous()
          : at::Tensor();
  if (bias.rows.defined()) sum_segments(rows.to(bias.rows.scalar_type()), segments, bias);
  if (!weight.rows.defined()) return;
  const at::Tensor& left = use.weight_is_out_in ? rows : x;
  const at::Tensor& right = use.weight_is_out_in ? x : rows;
  const auto tasks = static_cast<std::int64_t>(segments.begin.size());
  const bool one_type = rows.scalar_type() == weight.rows.scalar_type();
  if (const std::int64_t n = segments.equal(); n > 0 && one_type) {
    const auto batched = [&](const at::Tensor& t) {
      return t.narrow(0, segments.begin[0], tasks * n).view({tasks, n, t.size(1)});
    };
    at::Tensor target = weight.rows.view({tasks, left.size(1), right.size(1)});
    if (weight.add) {
      target.baddbmm_(batched(left).transpose(1, 2), batched(right));
    } else {
      at::bmm_out(target, batched(left).transpose(1, 2), batched(right));
    }
    return;
  }
  for (std::int64_t k = 0; k < tasks; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const std::int64_t n = segments.end[i] - segments.begin[i];
    write_product(weight,
                  k,
                  {left.size(1), right.size(1)},
                  left.narrow(0, segments.begin[i], n).t(),
                  right.narrow(0, segments.begin[i], n));
  }
}

void row_products_of_linear(const LayerUse& use,
                            const ExampleGradients& a,
                            const ExampleGradients& b,
                            at::Tensor& products) {
  const auto rows_of = [&](const ExampleGradients& of) {
    const at::Tensor gradient = of.gradient.reshape({-1, of.gradient.size(-1)});
    ExampleRows rows{.gradient = by_example(gradient, use.inner, of.examples)};
    if (use.weight < 0) return rows;
    // The input's rows lie as the output's do.
    const at::Tensor input = of.layer.input.reshape({-1, of.layer.input.size(-1)});
    const std::int64_t inner = use.inner / gradient.size(1) * input.size(1);
    rows.input = by_example(input, inner, of.examples);
    return rows;
  };
  add_pair_products(rows_of(a), rows_of(b), use.bias >= 0, products);
}

at::Tensor linear_moved(const LayerUse& use,
                        const LayerInput& layer,
                        const at::Tensor& weight,
                        const at::Tensor& bias) {
  if (!weight.defined()) return bias;
  const at::Tensor x = layer.input.reshape({-1, layer.input.size(-1)}).to(weight.scalar_type());
  const at::Tensor y = x.mm(use.weight_is_out_in ? weight.t() : weight);
  return bias.defined() ? y + bias : y;
}

bool linear_has_rows(const LayerUse& use, const LayerInput&) { return use.weight_is_out_in; }

at::Tensor linear_rows_of(const LayerUse&, const LayerInput& layer) {
  return layer.input.reshape({-1, layer.input.size(-1)});
}

at::Tensor linear_gradient_rows(const at::Tensor& gradient) {
  return gradient.reshape({-1, gradient.size(-1)});
}

double linear_row_count(const LayerInput& layer) {
  return static_cast<double>(layer.input.numel()) / layer.input.size(-1);
}

LayerRule linear(const char* node, int weight_edge, int bias_edge) {
  return {.kind = LayerKind::kLinear,
          .node = node,
          .weight_edge = weight_edge,
          .bias_edge = bias_edge,
          .task_gradients = task_gradients_of_linear,
          .row_products = row_products_of_linear,
          .moved = linear_moved,
          .has_rows = linear_has_rows,
          .rows = linear_rows_of,
          .gradient_rows = linear_gradient_rows,
          .row_count = linear_row_count};
}

}  // namespace

std::span<const LayerRule> linear_rules() {
  static const auto rules = [] {
    std::array<LayerRule, 2> all = {linear("AddmmBackward0", 2, 0),
                                    linear("MmBackward0", 1, LayerRule::kNone)};
    all[0].applies = is_plain;
    all[0].read = read_addmm;
    all[1].read = read_mm;
    return all;
  }();
  return rules;
}

}  // namespace detente::autograd
