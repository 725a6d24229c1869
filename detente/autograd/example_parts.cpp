// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/example_parts.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>

#include <algorithm>

namespace detente::autograd {
namespace {

Graph read(const TensorList& predictions, const TensorList& parameters, std::int64_t examples) {
  // Each given twice: then they share everything below them, which is what is looked at.
  TensorList twice;
  for (const auto& prediction : predictions) twice.insert(twice.end(), 2, prediction);
  Graph graph = read_graph(twice,
                           parameters,
                           std::vector<std::int64_t>(static_cast<std::size_t>(examples), 0),
                           BatchFlow::Statistics::kKeep);
  graph.forget_batch_free();
  return graph;
}

bool can_follow(const LayerUse& use) { return use.inner > 0 && use.rule->moved != nullptr; }

}  // namespace

ExampleParts::ExampleParts(const TensorList& predictions, const TensorList& parameters)
    : parameters_(parameters) {
  for (const auto& prediction : predictions) {
    if (prediction.defined() && prediction.requires_grad()) predictions_.push_back(prediction);
  }
  DETENTE_CHECK(!predictions_.empty(),
                ErrorCode::kInvalidArgument,
                "[autograd::ExampleParts] there is no prediction with a graph.");
  examples_ = predictions_[0].size(0);
  for (const auto& prediction : predictions_) {
    DETENTE_CHECK(prediction.dim() > 0 && prediction.size(0) == examples_,
                  ErrorCode::kShape,
                  "[autograd::ExampleParts] a prediction is of {} examples and another of {}; "
                  "expected one of each example in all.",
                  prediction.dim() > 0 ? prediction.size(0) : 0,
                  examples_);
  }
  graph_ = read(predictions_, parameters_, examples_);
  followed_ = graph_.handled;
  for (const LayerUse& use : graph_.uses) {
    for (const int p : {use.weight, use.bias}) {
      if (p >= 0 && !can_follow(use)) followed_[static_cast<std::size_t>(p)] = false;
    }
  }
  const at::NoGradGuard no_grad;
  for (const LayerUse& use : graph_.uses) {
    inputs_.push_back(can_follow(use) ? read_layer_input(use, parameters_) : LayerInput{});
  }
}

void ExampleParts::add(const at::Tensor& loss) {
  ++losses_;
  TensorList& deltas = deltas_.emplace_back(graph_.uses.size());
  if (!loss.defined()) return;
  std::vector<Edge> outputs;
  std::vector<std::size_t> places;
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    if (!can_follow(graph_.uses[u])) continue;
    places.push_back(u);
    outputs.push_back(graph_.uses[u].output());
  }
  if (places.empty()) return;
  TensorList found =
      gradients_at({edge_of(loss)}, {at::ones_like(loss)}, outputs, /*keep_graph=*/true);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (found[i].defined()) deltas[places[i]] = found[i].detach();
  }
}

// Adds to [K, N].
void ExampleParts::add_use(std::size_t u,
                           const at::Tensor& weight,
                           const at::Tensor& bias,
                           at::Tensor group_products) const {
  if (!weight.defined() && !bias.defined()) return;
  const LayerUse& use = graph_.uses[u];
  at::Tensor moved;
  for (std::int64_t k = 0; k < losses_; ++k) {
    const at::Tensor& delta = deltas_[static_cast<std::size_t>(k)][u];
    if (!delta.defined()) continue;
    if (!moved.defined()) {
      moved = use.rule->moved(use, inputs_[u], weight, bias);
      // As the rule's rows lie; what is the same for all examples stays small.
      if (moved.numel() == delta.numel()) moved = moved.reshape(delta.sizes());
    }
    const at::Tensor products =
        (delta.to(moved.scalar_type()) * moved).reshape({-1, examples_, use.inner});
    group_products[k].add_(products.sum({0, 2}, /*keepdim=*/false, at::kDouble).to(at::kCPU));
  }
}

at::Tensor ExampleParts::products(const TensorList& direction,
                                  const std::vector<int>& group_of,
                                  std::int64_t groups) const {
  const at::NoGradGuard no_grad;
  DETENTE_CHECK(direction.size() == parameters_.size() && group_of.size() == parameters_.size(),
                ErrorCode::kShape,
                "[autograd::ExampleParts] {} directions and {} groups are given for {} parameters.",
                direction.size(),
                group_of.size(),
                parameters_.size());
  at::Tensor all = at::zeros({groups, losses_, examples_}, at::TensorOptions(at::kDouble));
  const auto part = [&](int p) {
    return p < 0 || !followed_[static_cast<std::size_t>(p)]
               ? at::Tensor()
               : direction[static_cast<std::size_t>(p)];
  };
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    const LayerUse& use = graph_.uses[u];
    if (!can_follow(use)) continue;
    const at::Tensor weight = part(use.weight);
    const at::Tensor bias = part(use.bias);
    const auto group = [&](int p) { return all[group_of[static_cast<std::size_t>(p)]]; };
    if (use.weight >= 0 && use.bias >= 0 &&
        group_of[static_cast<std::size_t>(use.weight)] !=
            group_of[static_cast<std::size_t>(use.bias)]) {
      add_use(u, weight, {}, group(use.weight));
      add_use(u, {}, bias, group(use.bias));
    } else {
      add_use(u, weight, bias, group(use.weight >= 0 ? use.weight : use.bias));
    }
  }
  return all.permute({1, 2, 0}).contiguous();
}

}  // namespace detente::autograd
