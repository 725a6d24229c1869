// SPDX-License-Identifier: Apache-2.0
// Kinds without a rule of their own: the node's own backward is asked once per task, with the rows of the
// task's examples alone. That costs one small operation K times; without it, the way from the losses to
// the parameter would be passed K times.
#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/row_pairs.h>
#include <detente/autograd/layers/segments.h>
#include <detente/core/error.h>

namespace detente::autograd {
namespace {

LayerInput read_nothing(const LayerUse& use, const TensorList& shared) {
  return {.kernel = shared[static_cast<std::size_t>(use.weight)]};  // for its shape
}

at::Tensor gradient_of(const LayerUse& use, const LayerInput& layer, const at::Tensor& gradient) {
  const auto found = (*use.node)({gradient});
  const at::Tensor& own = found[static_cast<std::size_t>(use.side)];
  return own.defined() ? at::sum_to(own, layer.kernel.sizes()) : at::zeros_like(layer.kernel);
}

// `rows` of [examples, rows of each, the rest] kept, in the order of the output.
at::Tensor rows_alone(const LayerUse& use,
                      const at::Tensor& gradient,
                      const std::vector<double>& kept) {
  const auto examples = static_cast<std::int64_t>(kept.size());
  const std::int64_t outer = gradient.numel() / (use.inner * examples);
  const at::Tensor factors =
      at::tensor(kept, gradient.options()).view({1, examples, 1}).expand({outer, -1, use.inner});
  return gradient.contiguous() * factors.reshape(gradient.sizes());
}

void whole_node_task_gradients(const LayerUse& use,
                               const LayerInput& layer,
                               const at::Tensor& gradient,
                               const ExampleTasks& examples,
                               const TaskBlock& weight,
                               const TaskBlock&) {
  if (!weight.rows.defined()) return;
  for (std::int64_t k = 0; k < weight.rows.size(0); ++k) {
    std::vector<double> kept;
    for (const std::int64_t task : examples.task_of) kept.push_back(task == k ? 1.0 : 0.0);
    write_row(weight, k, gradient_of(use, layer, rows_alone(use, gradient, kept)));
  }
}

void whole_node_row_products(const LayerUse&,
                             const ExampleGradients&,
                             const ExampleGradients&,
                             at::Tensor&) {
  throw Error(ErrorCode::kUnsupported,
              "[autograd::add_row_products] a layer of this kind gives gradients per task, not per "
              "example.");
}

}  // namespace

std::span<const LayerRule> whole_node_rules() {
  static const auto rules = [] {
    std::vector<LayerRule> all;
    for (const char* node : {"MaximumBackward0",
                             "MinimumBackward0",
                             "ClampMinBackward1",
                             "ClampMaxBackward1",
                             "PowBackward1",
                             "Atan2Backward0",
                             "LerpBackward0",
                             "LerpBackward1",
                             "AddcmulBackward0",
                             "AddcdivBackward0"}) {
      all.push_back({.kind = LayerKind::kOther,
                     .node = node,
                     .weight_edge = LayerRule::kAnySide,
                     .read = read_nothing,
                     .task_gradients = whole_node_task_gradients,
                     .row_products = whole_node_row_products});
    }
    return all;
  }();
  return rules;
}

}  // namespace detente::autograd
