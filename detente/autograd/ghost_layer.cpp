// SPDX-License-Identifier: Apache-2.0
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/ghost_layer.h>
#include <detente/autograd/layers.h>
#include <detente/autograd/task_blocks.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>
#include <cmath>

namespace detente::autograd {

// E[⟨δ_kᵀxΩ, δ_lᵀxΩ⟩] = ⟨δ_kᵀx, δ_lᵀx⟩ for Ω [in, n] with independent entries of variance 1/n.
at::Tensor GhostLayer::projection(const StepTensors& step) const {
  const at::Tensor& parameter = step.shared[static_cast<std::size_t>(weight)];
  const auto options = parameter.options().requires_grad(false);
  auto generator =
      at::detail::createCPUGenerator(step.seed * 1000003 + static_cast<std::uint64_t>(weight));
  return at::randn({parameter.numel() / parameter.size(0), step.sketch},
                   generator,
                   options.device(at::kCPU))
      .div_(std::sqrt(static_cast<double>(step.sketch)))
      .to(options.device());
}

void GhostLayer::prepare(const StepTensors& step,
                         const Graph& graph,
                         const std::vector<LayerInput>& inputs) {
  gradients.assign(step.losses.size() * uses.size(), {});
  if (!sketched) return;
  const at::NoGradGuard no_grad;
  const at::Tensor& parameter = step.shared[static_cast<std::size_t>(weight)];
  const at::Tensor omega = projection(step);
  for (const std::size_t u : uses) {
    const at::Tensor x = layer_rows(graph.uses[u], inputs[u]).to(parameter.scalar_type());
    projected.push_back(x.mm(omega));
  }
  sketch =
      at::zeros({static_cast<std::int64_t>(step.losses.size()), step.sketch * parameter.size(0)},
                parameter.options().requires_grad(false));
}

std::size_t GhostLayer::place_of(std::size_t task, std::size_t use) const {
  const auto place = std::find(uses.begin(), uses.end(), use) - uses.begin();
  return task * uses.size() + static_cast<std::size_t>(place);
}

void GhostLayer::join(const StepTensors& step,
                      const Graph& graph,
                      const std::vector<LayerInput>& inputs) {
  TensorList x;
  for (const std::size_t u : uses) {
    x.push_back(layer_rows(graph.uses[u], inputs[u]).to(step.shared[0].scalar_type()));
  }
  rows = x.size() == 1 ? x[0] : at::cat(x);
  TensorList joined;
  const std::int64_t out = step.shared[static_cast<std::size_t>(weight)].size(0);
  for (std::size_t k = 0; k < step.losses.size(); ++k) {
    TensorList parts;
    bool any = false;
    for (std::size_t j = 0; j < uses.size(); ++j) {
      at::Tensor part = gradients[k * uses.size() + j];
      any = any || part.defined();
      if (!part.defined()) part = at::zeros({x[j].size(0), out}, x[j].options());
      parts.push_back(std::move(part));
    }
    joined.push_back(!any ? at::Tensor() : uses.size() == 1 ? parts[0] : at::cat(parts));
  }
  gradients = std::move(joined);
}

void GhostLayer::add_gram(const StepTensors& step, TaskBlocks& blocks) const {
  if (sketched) {
    add_sketch(step, blocks);
    return;
  }
  const std::size_t tasks = gradients.size();
  const bool bias_apart =
      bias >= 0 && !step.groups.empty() &&
      step.groups[static_cast<std::size_t>(bias)] != step.groups[static_cast<std::size_t>(weight)];
  Matrix part(tasks, tasks);
  add_ghost_gram(rows, gradients, bias >= 0 && !bias_apart, part);
  blocks.add(static_cast<std::size_t>(weight), part);
  if (!bias_apart) return;
  TensorList sums;
  const std::int64_t out = step.shared[static_cast<std::size_t>(weight)].size(0);
  for (const at::Tensor& delta : gradients) {
    sums.push_back(delta.defined() ? delta.sum(0) : at::zeros({out}, rows.options()));
  }
  blocks.add(static_cast<std::size_t>(bias), tensor::gram(at::stack(sums)));
}

void GhostLayer::add_sketch(const StepTensors& step, TaskBlocks& blocks) const {
  const Matrix estimate = tensor::gram(sketch);
  if (!step.sketch_apart) {
    blocks.estimated = true;
    blocks.add(static_cast<std::size_t>(weight), estimate);
    return;
  }
  const at::Tensor& parameter = step.shared[static_cast<std::size_t>(weight)];
  at::Tensor full = at::zeros({static_cast<std::int64_t>(gradients.size()), parameter.numel()},
                              parameter.options().requires_grad(false));
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    if (!gradients[k].defined()) continue;
    at::Tensor row = full[static_cast<std::int64_t>(k)].view({parameter.size(0), -1});
    at::mm_out(row, gradients[k].t(), rows);
  }
  const Matrix exact = tensor::gram(full);
  blocks.add(static_cast<std::size_t>(weight), exact);
  if (blocks.estimate.rows() == 0) blocks.estimate = Matrix(exact.rows(), exact.cols());
  add_to(blocks.estimate, estimate);
  add_to(blocks.estimate, exact, -1.0);
}

at::Tensor GhostLayer::weighted(const std::vector<double>& weights) const {
  TensorList terms;
  std::vector<double> factors;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    if (!gradients[k].defined()) continue;
    terms.push_back(gradients[k].contiguous());
    factors.push_back(weights[k]);
  }
  if (terms.empty()) return {};
  at::Tensor sum = at::empty_like(terms[0]);
  tensor::weighted_sum(terms, factors, sum);
  return sum;
}

}  // namespace detente::autograd
