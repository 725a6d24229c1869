// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <detente/autograd/passes.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/graph_compat.h>
#include <detente/tensor/parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace detente::autograd {

TensorList dense(TensorList gradients) {
  for (auto& gradient : gradients) {
    if (gradient.defined() && gradient.is_sparse()) gradient = gradient.to_dense();
  }
  return gradients;
}

TensorList weighted_gradients(const TensorList& losses,
                              const std::vector<double>& factors,
                              const TensorList& parameters,
                              bool keep_graph) {
  TensorList starts;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    starts.push_back(at::full_like(losses[i], factors[i]));
  }
  return dense(torch::autograd::grad(losses,
                                     parameters,
                                     starts,
                                     keep_graph,
                                     /*create_graph=*/false,
                                     /*allow_unused=*/true));
}

TensorList gradients_at(const std::vector<Edge>& roots,
                        const TensorList& root_gradients,
                        const std::vector<Edge>& wanted,
                        bool keep_graph) {
  return dense(torch::autograd::Engine::get_default_engine().execute(roots,
                                                                     root_gradients,
                                                                     keep_graph,
                                                                     /*create_graph=*/false,
                                                                     /*accumulate_grad=*/false,
                                                                     wanted));
}

at::Tensor owned(at::Tensor gradient, const at::Tensor& parameter) {
  if (!gradient.defined()) return gradient;
  const bool alone = gradient.use_count() == 1 && gradient.storage().use_count() == 1;
  if (alone && gradient.is_contiguous() && !gradient.requires_grad()) return gradient;
  return gradient.detach().clone(at::MemoryFormat::Contiguous).view(parameter.sizes());
}

TensorList owned(TensorList gradients, const TensorList& parameters) {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    gradients[i] = owned(std::move(gradients[i]), parameters[i]);
  }
  return gradients;
}

TensorList owned_from(TensorList& found, std::size_t first, const TensorList& parameters) {
  TensorList result;
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    result.push_back(owned(std::move(found[first + j]), parameters[j]));
  }
  return result;
}

double squared_norm(const TensorList& gradients) {
  double sum = 0;
  for (const auto& gradient : gradients) {
    if (gradient.defined()) sum += tensor::squared_norm(gradient);
  }
  return sum;
}

void for_each_pass(std::size_t count,
                   bool side_by_side,
                   const std::function<void(std::size_t)>& pass) {
  if (!side_by_side) {
    for (std::size_t i = 0; i < count; ++i) pass(i);
    return;
  }
  // Inside, LibTorch's operations keep to one thread.
  tensor::parallel_for(
      0, static_cast<std::int64_t>(count), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) pass(static_cast<std::size_t>(i));
      });
}

namespace {

// Every node behind the losses once, until `visit` says that it has seen enough (false).
template <class Visit>
void walk_graph(const TensorList& losses, const Visit& visit) {
  std::unordered_set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> stack;
  const auto push = [&](torch::autograd::Node* node) {
    if (node != nullptr && seen.insert(node).second) stack.push_back(node);
  };
  for (const auto& loss : losses) {
    if (loss.defined()) push(loss.grad_fn().get());
  }
  while (!stack.empty()) {
    torch::autograd::Node* node = stack.back();
    stack.pop_back();
    for (const auto& edge : node->next_edges()) push(edge.function.get());
    if (!visit(*node)) return;
  }
}

}  // namespace

void free_graph(const TensorList& losses) {
  walk_graph(losses, [](torch::autograd::Node& node) {
    node.release_variables();
    return true;
  });
}

bool graph_has_hooks(const TensorList& losses) {
  bool found = false;
  walk_graph(losses, [&](torch::autograd::Node& node) {
    found = tensor::has_hooks(node);
    return !found;
  });
  return found;
}

at::Tensor weights_like(const std::vector<double>& weights, const at::Tensor& like) {
  at::Tensor w = at::empty({static_cast<std::int64_t>(weights.size())}, at::kDouble);
  std::copy(weights.begin(), weights.end(), w.data_ptr<double>());
  return w.to(like.options().requires_grad(false));
}

}  // namespace detente::autograd
