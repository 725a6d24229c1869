// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/example_parts.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/layers/segments.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <torch/csrc/autograd/autograd.h>

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

TensorList with_graph(const TensorList& predictions) {
  TensorList found;
  for (const auto& prediction : predictions) {
    if (prediction.defined() && prediction.requires_grad()) found.push_back(prediction);
  }
  return found;
}

bool can_follow(const LayerUse& use) { return use.inner > 0 && use.rule->moved != nullptr; }

}  // namespace

ExampleParts::ExampleParts(const TensorList& predictions, const TensorList& parameters)
    : predictions_(with_graph(predictions)), parameters_(parameters) {
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
  TensorList& above = above_.emplace_back(predictions_.size());
  if (!loss.defined()) return;
  std::vector<Edge> outputs;
  std::vector<std::size_t> places;
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    if (!can_follow(graph_.uses[u])) continue;
    places.push_back(u);
    outputs.push_back(graph_.uses[u].output());
  }
  for (const auto& prediction : predictions_) outputs.push_back(edge_of(prediction));
  TensorList found =
      gradients_at({edge_of(loss)}, {at::ones_like(loss)}, outputs, /*keep_graph=*/true);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (found[i].defined()) deltas[places[i]] = found[i].detach();
  }
  for (std::size_t h = 0; h < above.size(); ++h) {
    const at::Tensor& own = found[places.size() + h];
    if (own.defined()) above[h] = own.detach();
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

std::vector<RowLayer> ExampleParts::row_layers(std::int64_t loss) const {
  const at::NoGradGuard no_grad;
  std::vector<int> uses(parameters_.size(), 0);
  for (const LayerUse& use : graph_.uses) {
    for (const int p : {use.weight, use.bias}) {
      if (p >= 0) ++uses[static_cast<std::size_t>(p)];
    }
  }
  const auto alone = [&](int p) {
    return followed_[static_cast<std::size_t>(p)] && uses[static_cast<std::size_t>(p)] == 1;
  };
  std::vector<RowLayer> found;
  for (std::size_t u = 0; u < graph_.uses.size(); ++u) {
    const LayerUse& use = graph_.uses[u];
    const at::Tensor& delta = deltas_.at(static_cast<std::size_t>(loss))[u];
    if (!delta.defined() || use.weight < 0 || !alone(use.weight) || !has_rows(use, inputs_[u])) {
      continue;
    }
    const at::Tensor rows = layer_rows(use, inputs_[u]);
    const at::Tensor gradient = gradient_rows(use, delta);
    found.push_back({use.weight,
                     use.bias >= 0 && alone(use.bias) ? use.bias : -1,
                     by_example(rows, use.inner / gradient.size(1) * rows.size(1), examples_),
                     by_example(gradient, use.inner, examples_)});
  }
  return found;
}

std::vector<at::Tensor> ExampleParts::other_products(const TensorList& predictions,
                                                     const std::vector<TensorList>& directions,
                                                     const std::vector<int>& group_of,
                                                     std::int64_t groups) const {
  std::vector<at::Tensor> all;
  for (std::size_t m = 0; m < directions.size(); ++m) {
    all.push_back(at::zeros({losses_, examples_, groups}, at::TensorOptions(at::kDouble)));
  }
  std::vector<std::size_t> others;
  TensorList wanted;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (followed_[p]) continue;
    others.push_back(p);
    wanted.push_back(parameters_[p]);
  }
  if (others.empty()) return all;
  const at::AutoGradMode grad(true);
  const TensorList outputs = with_graph(predictions);
  DETENTE_CHECK(outputs.size() == predictions_.size(),
                ErrorCode::kShape,
                "[autograd::ExampleParts] {} predictions are given again; expected {}.",
                outputs.size(),
                predictions_.size());
  // Jᵀu is linear in u, so that its derivative in u along v is Jv, whatever u.
  TensorList u;
  for (const auto& output : outputs) u.push_back(at::zeros_like(output).requires_grad_());
  const TensorList back = torch::autograd::grad(outputs,
                                                wanted,
                                                u,
                                                /*retain_graph=*/true,
                                                /*create_graph=*/true,
                                                /*allow_unused=*/true);
  for (std::size_t m = 0; m < directions.size(); ++m) {
    for (std::int64_t g = 0; g < groups; ++g) {
      at::Tensor slope;
      for (std::size_t i = 0; i < others.size(); ++i) {
        const at::Tensor& v = directions[m][others[i]];
        if (group_of[others[i]] != g || !v.defined() || !back[i].defined()) continue;
        const at::Tensor term = (back[i].is_sparse() ? back[i].to_dense() : back[i]).mul(v).sum();
        slope = slope.defined() ? slope + term : term;
      }
      if (!slope.defined() || !slope.requires_grad()) continue;
      const TensorList moved = torch::autograd::grad(
          {slope}, u, {}, /*retain_graph=*/true, false, /*allow_unused=*/true);
      const at::NoGradGuard no_grad;
      for (std::int64_t k = 0; k < losses_; ++k) {
        for (std::size_t h = 0; h < outputs.size(); ++h) {
          const at::Tensor& delta = above_[static_cast<std::size_t>(k)][h];
          if (!delta.defined() || !moved[h].defined()) continue;
          const at::Tensor own =
              (delta * moved[h]).reshape({examples_, -1}).sum({1}, /*keepdim=*/false, at::kDouble);
          all[m][k].select(1, g).add_(own.to(at::kCPU));
        }
      }
    }
  }
  return all;
}

}  // namespace detente::autograd
