// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/moments.h>
#include <detente/nn/heads.h>
#include <detente/nn/map_head.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::nn {
namespace {

bool is_standard(const HeadOptions& options) {
  return options.kind == HeadKind::kRegression && options.output == HeadOptions::Output::kStandard;
}

std::string head_name(const TaskHead& head) { return "heads." + head.name; }

}  // namespace

Heads::Heads(std::vector<TaskHead> tasks, std::int64_t features, Draw& draw)
    : tasks_(std::move(tasks)) {
  for (const TaskHead& head : tasks_) {
    head.options.validate();
    Parameters own;
    if (is_map(head.options.kind)) {
      const std::int64_t outputs = map_outputs(head.options.kind, head.options.classes);
      add_map_head(own, draw, head_name(head), features, outputs);
      parameters_.push_back(std::move(own));
      continue;
    }
    const std::int64_t outputs = head.options.kind == HeadKind::kClasses ? head.options.classes : 1;
    own.add_linear(draw, head_name(head), features, outputs);
    if (is_standard(head.options)) {
      own.add_exact(head_name(head) + ".mean", torch::zeros({1}));
      own.add_exact(head_name(head) + ".deviation", torch::ones({1}));
    }
    parameters_.push_back(std::move(own));
  }
}

at::Tensor Heads::predict(std::size_t head, const at::Tensor& features) const {
  const HeadOptions& o = tasks_[head].options;
  const std::string name = head_name(tasks_[head]);
  if (is_map(o.kind)) return map_head(parameters_[head], features, name);
  at::Tensor y =
      parameters_[head].linear(features.dim() == 4 ? features.mean({2, 3}) : features, name);
  if (o.kind != HeadKind::kClasses) y = y.squeeze(1);
  if (o.kind == HeadKind::kRegression &&
      (o.output == HeadOptions::Output::kScaled || o.output == HeadOptions::Output::kSigmoid)) {
    if (o.output == HeadOptions::Output::kSigmoid) y = torch::sigmoid(y);
    y = o.low + (o.high - o.low) * y;
  }
  return y;
}

TensorList Heads::operator()(const at::Tensor& features) const {
  return operator()(TensorList{features});
}

TensorList Heads::operator()(const TensorList& features) const {
  TensorList predictions;
  for (std::size_t k = 0; k < tasks_.size(); ++k) {
    predictions.push_back(predict(k, features.size() == 1 ? features.front() : features.at(k)));
  }
  return predictions;
}

at::Tensor Heads::loss_target(std::size_t head, const at::Tensor& target) const {
  const TaskHead& task = tasks_.at(head);
  if (!is_standard(task.options)) return target;
  const auto scale = [&](const char* what) {
    return parameters_[head](head_name(task) + what).to(target.options());
  };
  return (target - scale(".mean")) / scale(".deviation");
}

at::Tensor Heads::answer(std::size_t head, const at::Tensor& prediction) const {
  const TaskHead& task = tasks_.at(head);
  switch (task.options.kind) {
    case HeadKind::kBinary:
      return torch::sigmoid(prediction);
    case HeadKind::kClasses:
      return torch::softmax(prediction, 1);
    case HeadKind::kRegression:
      break;
    case HeadKind::kSegmentation:
    case HeadKind::kDepth:
    case HeadKind::kNormals:
      return map_answer(task.options.kind, prediction);
  }
  if (!is_standard(task.options)) return prediction;
  const Parameters& own = parameters_[head];
  return own(head_name(task) + ".mean") + own(head_name(task) + ".deviation") * prediction;
}

void Heads::start_from(std::size_t head, std::span<const double> targets) {
  const TaskHead& task = tasks_.at(head);
  const Moments moments = finite_moments(targets);
  if (is_standard(task.options)) {
    parameters_[head].assign(head_name(task) + ".mean", std::vector<double>{moments.mean});
    parameters_[head].assign(head_name(task) + ".deviation",
                             std::vector<double>{moments.deviation > 0 ? moments.deviation : 1.0});
  }
  set_initial_prediction(head, moments.mean);
}

at::Tensor Heads::linear_target(std::size_t head, const at::Tensor& target) const {
  const HeadOptions& options = tasks_.at(head).options;
  switch (options.output) {
    case HeadOptions::Output::kRaw:
      return target;
    case HeadOptions::Output::kScaled:
      return (target - options.low) / (options.high - options.low);
    case HeadOptions::Output::kSigmoid:
      return torch::logit(
          ((target - options.low) / (options.high - options.low)).clamp(0.01, 0.99));
    case HeadOptions::Output::kStandard:
      return loss_target(head, target);
  }
  return target;
}

void Heads::set_linear(std::size_t head, const at::Tensor& weight, const at::Tensor& bias) {
  const auto assign = [&](const char* what, const at::Tensor& tensor) {
    const at::Tensor numbers = tensor.to(torch::kCPU, torch::kFloat64).contiguous();
    parameters_[head].assign(
        head_name(tasks_.at(head)) + what,
        {numbers.const_data_ptr<double>(), static_cast<std::size_t>(numbers.numel())});
  };
  assign(".weight", weight);
  assign(".bias", bias);
}

void Heads::set_initial_prediction(std::size_t head, double value) {
  const HeadOptions& options = tasks_.at(head).options;
  if (options.kind == HeadKind::kClasses) return;
  double bias = value;
  if (options.kind == HeadKind::kRegression) {
    bias = linear_target(head, torch::full({1}, value, torch::kFloat64)).item<double>();
  } else {
    const double share = std::clamp(value, 0.01, 0.99);
    bias = std::log(share / (1.0 - share));
  }
  const std::string name = head_name(tasks_[head]) + ".bias";
  parameters_[head].assign(name, std::vector<double>{bias});
}

void Heads::set_initial_map(std::size_t head, std::span<const double> values) {
  if (tasks_.at(head).options.kind == HeadKind::kSegmentation) return;
  parameters_[head].assign(head_name(tasks_[head]) + ".out.bias", values);
}

void Heads::to(tensor::Device device, tensor::DType dtype) {
  for (Parameters& own : parameters_) own.to(device, dtype);
}

}  // namespace detente::nn
