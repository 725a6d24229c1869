// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/distill/internal/checks.h>
#include <detente/distill/linear_probe.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::distill {
namespace {

constexpr double kEnough = 1e-9;  // norm of the gradient; at W = 0 it is of the order of 1
constexpr int kMostSteps = 100;
constexpr int kMostDirections = 500;  // of conjugate gradients in one step
constexpr int kMostHalvings = 40;
constexpr double kDecrease = 1e-4;  // Armijo's share of the promised decrease
// A column's deviation relative to its size below which it is constant but for rounding.
constexpr double kConstant = 1e-12;

// W and b as one tensor [C, d + 1] beside features with a column of ones.
class Objective {
 public:
  Objective(at::Tensor features, at::Tensor one_hot, double ridge)
      : x_(std::move(features)), y_(std::move(one_hot)), ridge_(ridge) {
    rows_ = static_cast<double>(x_.size(0));
    shrunk_ = at::full({x_.size(1)}, ridge_, at::kDouble);
    shrunk_.narrow(0, x_.size(1) - 1, 1).zero_();  // the bias is free
  }

  double value(const at::Tensor& w) const {
    const at::Tensor z = x_.mm(w.t());
    const at::Tensor loss = (z.logsumexp({1}) - (z * y_).sum(1)).mean();
    return (loss + 0.5 * (w.square() * shrunk_).sum()).item<double>();
  }

  // Also sets what curvature() goes by.
  at::Tensor gradient(const at::Tensor& w) {
    p_ = at::softmax(x_.mm(w.t()), 1);
    return (p_ - y_).t().mm(x_) / rows_ + w * shrunk_;
  }

  // The Hessian at the last gradient() times v.
  at::Tensor curvature(const at::Tensor& v) const {
    const at::Tensor moved = p_ * x_.mm(v.t());
    return (moved - p_ * moved.sum(1, /*keepdim=*/true)).t().mm(x_) / rows_ + v * shrunk_;
  }

 private:
  at::Tensor x_;
  at::Tensor y_;
  at::Tensor p_;
  at::Tensor shrunk_;
  double ridge_;
  double rows_ = 0;
};

double dot_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum().item<double>();
}

// −H⁻¹ g, to `tolerance` in the residual.
at::Tensor newton_direction(const Objective& objective,
                            const at::Tensor& gradient,
                            double tolerance) {
  at::Tensor direction = at::zeros_like(gradient);
  at::Tensor residual = -gradient;
  at::Tensor along = residual;
  double square = dot_product(residual, residual);
  for (int i = 0; i < kMostDirections && std::sqrt(square) > tolerance; ++i) {
    const at::Tensor image = objective.curvature(along);
    const double bend = dot_product(along, image);
    if (!(bend > 0)) break;  // rounding alone: the Hessian is not negative anywhere
    const double length = square / bend;
    direction = direction + along * length;
    residual = residual - image * length;
    const double next = dot_product(residual, residual);
    along = residual + along * (next / square);
    square = next;
  }
  return direction;
}

at::Tensor standardised(const LinearFit& fit, const at::Tensor& features) {
  const at::Tensor x = (features.detach().to(at::kCPU, at::kDouble) - fit.mean) / fit.scale;
  return at::cat({x, at::ones({x.size(0), 1}, at::kDouble)}, 1);
}

void check_ridge(double ridge) {
  DETENTE_CHECK(ridge > 0 && std::isfinite(ridge),
                ErrorCode::kInvalidArgument,
                "[distill::linear_accuracy] ridge must be > 0, got {}; without it separable "
                "classes have no best weights.",
                ridge);
}

}  // namespace

LinearFit fit_linear(const at::Tensor& features,
                     std::span<const std::int64_t> labels,
                     double ridge) {
  constexpr const char* kWhere = "linear_accuracy";
  internal::check_features(kWhere, "training", features, 0);
  internal::check_labels(kWhere, "training", features, labels);
  check_ridge(ridge);
  const at::NoGradGuard no_grad;
  LinearFit fit;
  fit.classes.assign(labels.begin(), labels.end());
  std::sort(fit.classes.begin(), fit.classes.end());
  fit.classes.erase(std::unique(fit.classes.begin(), fit.classes.end()), fit.classes.end());
  const auto classes = static_cast<std::int64_t>(fit.classes.size());
  const std::int64_t width = features.size(1);

  const at::Tensor raw = features.detach().to(at::kCPU, at::kDouble);
  fit.mean = raw.mean(0);
  const at::Tensor deviation = (raw - fit.mean).square().mean(0).sqrt();
  const at::Tensor varies = deviation > fit.mean.abs() * kConstant;
  fit.scale = at::where(varies, deviation, at::ones_like(deviation));
  // What rounding leaves of a constant column must not come back through the weights.
  at::Tensor x = standardised(fit, features);
  x.narrow(1, 0, width).mul_(varies.to(at::kDouble));
  at::Tensor y = at::zeros({x.size(0), classes}, at::kDouble);
  double* ones = y.data_ptr<double>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto place = std::lower_bound(fit.classes.begin(), fit.classes.end(), labels[i]);
    ones[static_cast<std::int64_t>(i) * classes + (place - fit.classes.begin())] = 1.0;
  }

  Objective objective(x, y, ridge);
  at::Tensor w = at::zeros({classes, width + 1}, at::kDouble);
  double value = objective.value(w);
  at::Tensor gradient = objective.gradient(w);
  double norm = std::sqrt(dot_product(gradient, gradient));
  while (norm > kEnough && fit.steps < kMostSteps) {
    const double forcing = std::min(0.1, std::sqrt(norm));
    const at::Tensor direction = newton_direction(objective, gradient, forcing * norm);
    const double slope = dot_product(gradient, direction);
    double length = 1;
    at::Tensor next = w + direction;
    double lower = objective.value(next);
    // The room beside the slope is the rounding of two values that are nearly equal.
    const double room = 1e-14 * std::abs(value);
    int halvings = 0;
    while (!(lower <= value + kDecrease * length * slope + room) && halvings++ < kMostHalvings) {
      length *= 0.5;
      next = w + direction * length;
      lower = objective.value(next);
    }
    if (halvings > kMostHalvings) break;
    w = next;
    value = lower;
    gradient = objective.gradient(w);
    norm = std::sqrt(dot_product(gradient, gradient));
    ++fit.steps;
  }
  fit.gradient_norm = norm;
  fit.weight = w.narrow(1, 0, width).contiguous();
  fit.bias = w.select(1, width).contiguous();
  return fit;
}

double linear_accuracy(const at::Tensor& train_features,
                       std::span<const std::int64_t> train_labels,
                       const at::Tensor& test_features,
                       std::span<const std::int64_t> test_labels,
                       double ridge) {
  constexpr const char* kWhere = "linear_accuracy";
  internal::check_features(kWhere, "training", train_features, 0);
  internal::check_features(kWhere, "test", test_features, train_features.size(1));
  internal::check_labels(kWhere, "test", test_features, test_labels);
  const LinearFit fit = fit_linear(train_features, train_labels, ridge);
  const at::NoGradGuard no_grad;
  const at::Tensor x = (test_features.detach().to(at::kCPU, at::kDouble) - fit.mean) / fit.scale;
  const at::Tensor logits = at::linear(x, fit.weight, fit.bias).contiguous();
  const double* row = logits.const_data_ptr<double>();
  const auto classes = static_cast<std::int64_t>(fit.classes.size());
  std::size_t hits = 0;
  for (const std::int64_t label : test_labels) {
    const std::int64_t best = std::max_element(row, row + classes) - row;
    if (fit.classes[static_cast<std::size_t>(best)] == label) ++hits;
    row += classes;
  }
  return static_cast<double>(hits) / static_cast<double>(test_labels.size());
}

}  // namespace detente::distill
