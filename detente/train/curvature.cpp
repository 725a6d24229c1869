// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/balance/diagnostics.h>
#include <detente/tensor/gram.h>
#include <detente/train/curvature.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace detente::train {
namespace {

TensorList copies(const TensorList& list) {
  TensorList result;
  for (const auto& tensor : list) result.push_back(tensor.detach().clone());
  return result;
}

void copy_into(const TensorList& parameters, const TensorList& values) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor(parameters[i]).copy_(values[i]);
  }
}

double inner_in_double(const at::Tensor& a, const at::Tensor& b) {
  return tensor::inner_products(a.reshape({1, -1}), b.reshape({1, -1}))(0, 0);
}

// Puts the values back whatever happens in between.
struct Restore {
  const TensorList& parameters;
  TensorList values = copies(parameters);
  ~Restore() { copy_into(parameters, values); }
};

}  // namespace

CurvatureProbe::Sum CurvatureProbe::summed(const TensorList& losses, const TensorList& parameters) {
  Sum sum;
  TensorList present;
  for (const auto& loss : losses) {
    if (!loss.defined()) continue;
    present.push_back(loss);
    sum.loss += loss.item<double>();
  }
  if (present.empty() || parameters.empty()) return sum;
  sum.gradients = torch::autograd::grad(present,
                                        parameters,
                                        /*grad_outputs=*/{},
                                        /*retain_graph=*/true,
                                        /*create_graph=*/false,
                                        /*allow_unused=*/true);
  return sum;
}

CurvatureProbe::CurvatureProbe(const TensorList& losses,
                               const TensorList& shared,
                               const TensorList& own)
    : own_(own), own_before_(copies(own)) {
  for (const auto& parameter : shared) {
    if (parameter.requires_grad()) shared_.push_back(parameter);
  }
  shared_before_ = copies(shared_);
  before_ = summed(losses, shared_);
}

std::optional<Curvature> CurvatureProbe::measure(const std::function<TensorList()>& losses_again) {
  if (before_.gradients.empty()) return std::nullopt;
  const Restore shared_now{shared_};
  const Restore own_now{own_};
  Curvature result;
  double moved = 0;
  {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < shared_.size(); ++i) {
      moved += tensor::squared_norm(shared_[i] - shared_before_[i]);
      const at::Tensor& gradient = before_.gradients[i];
      if (gradient.defined()) result.squared_norm += tensor::squared_norm(gradient);
    }
    if (!(moved > 0) || !(result.squared_norm > 0)) return std::nullopt;
    result.step = std::sqrt(moved / result.squared_norm);
    if (!(result.step > 0) || !std::isfinite(result.step)) return std::nullopt;
    for (std::size_t i = 0; i < shared_.size(); ++i) {
      shared_[i].copy_(shared_before_[i]);
      if (before_.gradients[i].defined()) shared_[i].sub_(before_.gradients[i], result.step);
    }
  }
  copy_into(own_, own_before_);
  const Sum after = summed(losses_again(), shared_);
  if (after.gradients.empty()) return std::nullopt;

  const at::NoGradGuard no_grad;
  double inner_after = 0;
  double change = 0;
  for (std::size_t i = 0; i < shared_.size(); ++i) {
    const at::Tensor& g = before_.gradients[i];
    const at::Tensor& next = after.gradients[i];
    if (g.defined() && next.defined()) {
      inner_after += inner_in_double(g, next);
      change += tensor::squared_norm(next - g);
    } else if (g.defined() || next.defined()) {
      change += tensor::squared_norm(g.defined() ? g : next);
    }
  }
  result.from_gradients =
      balance::curvature_from_gradients(result.squared_norm, inner_after, result.step);
  result.from_losses = balance::curvature_from_losses(
      before_.loss, after.loss, -result.step * result.squared_norm, result.step);
  result.lipschitz = std::sqrt(change / result.squared_norm) / result.step;
  if (!std::isfinite(result.from_gradients) || !std::isfinite(result.from_losses)) {
    return std::nullopt;
  }
  return result;
}

}  // namespace detente::train
