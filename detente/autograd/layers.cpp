// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers.h>
#include <detente/core/error.h>
#include <detente/tensor/gram.h>

#include <algorithm>

namespace detente::autograd {
namespace {

// ⟨a, b⟩ in double, block by block: the blocks' float products round like one short sum.
double dot_in_double(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.reshape(-1);
  const at::Tensor y = b.reshape(-1);
  constexpr std::int64_t kBlock = std::int64_t{1} << 15;
  double sum = 0;
  for (std::int64_t begin = 0; begin < x.numel(); begin += kBlock) {
    const std::int64_t n = std::min(kBlock, x.numel() - begin);
    sum += at::dot(x.narrow(0, begin, n), y.narrow(0, begin, n)).item<double>();
  }
  return sum;
}

Matrix ghost_gram(const at::Tensor& x, const TensorList& gradients, bool with_bias) {
  Matrix gram(gradients.size(), gradients.size());
  at::Tensor inner = x.mm(x.t());
  if (with_bias) inner.add_(1.0);
  for (std::size_t l = 0; l < gradients.size(); ++l) {
    if (!gradients[l].defined()) continue;
    const at::Tensor turned = inner.mm(gradients[l]);
    for (std::size_t k = 0; k <= l; ++k) {
      if (!gradients[k].defined()) continue;
      gram(k, l) = gram(l, k) = dot_in_double(gradients[k], turned);
    }
  }
  return gram;
}

}  // namespace

LayerInput read_layer_input(const LayerUse& use, const TensorList& shared) {
  const at::NoGradGuard no_grad;
  LayerInput layer = use.rule->read(use, shared);
  if (layer.input.defined()) layer.input = layer.input.detach();
  if (layer.kernel.defined()) layer.kernel = layer.kernel.detach();
  return layer;
}

void task_gradients(const LayerUse& use,
                    const LayerInput& layer,
                    const at::Tensor& gradient,
                    const ExampleTasks& examples,
                    const TaskBlock& weight,
                    const TaskBlock& bias) {
  const at::NoGradGuard no_grad;
  use.rule->task_gradients(use, layer, gradient, examples, weight, bias);
}

bool readable_by_pass(const LayerUse& use) {
  if (use.rule->kind == LayerKind::kLinear) return use.weight_is_out_in;
  return use.rule->rows != nullptr || use.rule->kind == LayerKind::kEmbedding;
}

bool has_rows(const LayerUse& use, const LayerInput& layer) {
  return use.rule->has_rows != nullptr && use.rule->has_rows(use, layer);
}

at::Tensor layer_rows(const LayerUse& use, const LayerInput& layer) {
  const at::NoGradGuard no_grad;
  return use.rule->rows(use, layer);
}

at::Tensor gradient_rows(const LayerUse& use, const at::Tensor& gradient) {
  const at::NoGradGuard no_grad;
  return use.rule->gradient_rows(gradient);
}

void add_ghost_gram(const at::Tensor& x,
                    const TensorList& gradients,
                    bool with_bias,
                    Matrix& gram) {
  const at::NoGradGuard no_grad;
  Matrix part = ghost_gram(x, gradients, with_bias);
  bool outside = false;
  for (std::size_t k = 0; x.scalar_type() != at::kDouble && k < gradients.size(); ++k) {
    outside =
        outside || (gradients[k].defined() && tensor::outside_float(gradients[k], part(k, k)));
  }
  if (outside) {
    TensorList wide;
    for (const at::Tensor& one : gradients) {
      wide.push_back(one.defined() ? one.to(at::kDouble) : one);
    }
    part = ghost_gram(x.to(at::kDouble), wide, with_bias);
  }
  for (std::size_t i = 0; i < part.rows() * part.cols(); ++i) gram.data()[i] += part.data()[i];
}

}  // namespace detente::autograd
