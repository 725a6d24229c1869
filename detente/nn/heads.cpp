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

std::int64_t output_count(const HeadOptions& options) {
  switch (options.kind) {
    case HeadKind::kClasses:
      return options.classes;
    case HeadKind::kOrdinal:
      return options.classes - 1;
    case HeadKind::kRegression:
    case HeadKind::kLabels:
      return options.outputs;
    case HeadKind::kBinary:
    case HeadKind::kSegmentation:  // map heads do not ask this
    case HeadKind::kDepth:
    case HeadKind::kNormals:
      break;
  }
  return 1;
}

// A share of rows as a logit that training can still move.
double share_logit(double share) {
  const double inside = std::clamp(share, 0.01, 0.99);
  return std::log(inside / (1.0 - inside));
}

// Thresholds closer than this are one in float32 beside large features.
constexpr double kSmallestGap = 1e-3;

// What softplus makes `gap` of, beyond the smallest gap.
double raw_gap(double gap) { return std::log(std::expm1(std::max(gap - kSmallestGap, 1e-3))); }

// The first threshold and what the gaps are made of, for classes with these shares of the rows.
std::vector<double> raw_thresholds(const std::vector<double>& shares) {
  std::vector<double> raw;
  double below = 0.0;
  double before = 0.0;
  for (std::size_t k = 0; k + 1 < shares.size(); ++k) {
    below += shares[k];
    const double threshold = share_logit(below);
    raw.push_back(k == 0 ? threshold : raw_gap(threshold - before));
    // What the gap became: it is never as small as nothing.
    before = k == 0 ? threshold : before + kSmallestGap + std::log1p(std::exp(raw.back()));
  }
  return raw;
}

std::vector<double> column_of(std::span<const double> values, std::size_t columns, std::size_t c) {
  std::vector<double> column;
  for (std::size_t i = c; i < values.size(); i += columns) column.push_back(values[i]);
  return column;
}

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
    const std::int64_t outputs = output_count(head.options);
    if (head.options.kind == HeadKind::kOrdinal) {
      const auto classes = static_cast<std::size_t>(head.options.classes);
      const double bound = 1.0 / std::sqrt(static_cast<double>(features));
      own.add(head_name(head) + ".weight", draw.uniform({1, features}, bound));
      own.add(head_name(head) + ".thresholds", torch::zeros({outputs}));
      own.assign(head_name(head) + ".thresholds",
                 raw_thresholds(std::vector<double>(classes, 1.0 / static_cast<double>(classes))));
    } else {
      own.add_linear(draw, head_name(head), features, outputs);
    }
    if (is_standard(head.options)) {
      own.add_exact(head_name(head) + ".mean", torch::zeros({outputs}));
      own.add_exact(head_name(head) + ".deviation", torch::ones({outputs}));
    }
    parameters_.push_back(std::move(own));
  }
}

at::Tensor Heads::ordered_logits(std::size_t head, const at::Tensor& features) const {
  const Parameters& own = parameters_[head];
  const std::string name = head_name(tasks_[head]);
  const at::Tensor raw = own(name + ".thresholds");
  at::Tensor thresholds = raw;
  if (raw.size(0) > 1) {
    const at::Tensor gaps = torch::softplus(raw.slice(0, 1)) + kSmallestGap;
    thresholds = torch::cumsum(torch::cat({raw.slice(0, 0, 1), gaps}, 0), 0);
  }
  return torch::matmul(features, own(name + ".weight").t()) - thresholds;
}

at::Tensor Heads::predict(std::size_t head, const at::Tensor& features) const {
  const HeadOptions& o = tasks_[head].options;
  const std::string name = head_name(tasks_[head]);
  if (is_map(o.kind)) return map_head(parameters_[head], features, name);
  const at::Tensor whole = features.dim() == 4 ? features.mean({2, 3}) : features;
  if (o.kind == HeadKind::kOrdinal) return ordered_logits(head, whole);
  at::Tensor y = parameters_[head].linear(whole, name);
  if (o.kind != HeadKind::kClasses && output_count(o) == 1) y = y.squeeze(1);
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
    case HeadKind::kLabels:
      return torch::sigmoid(prediction);
    case HeadKind::kClasses:
      return torch::softmax(prediction, 1);
    case HeadKind::kOrdinal: {
      const at::Tensor above = torch::sigmoid(prediction);
      const std::int64_t last = above.size(1) - 1;
      const at::Tensor first = above.slice(1, 0, 1);
      TensorList parts = {torch::ones_like(first) - first, above.slice(1, last, last + 1)};
      if (last > 0) {
        parts.insert(parts.begin() + 1, above.slice(1, 0, last) - above.slice(1, 1, last + 1));
      }
      return torch::cat(parts, 1);
    }
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
  if (task.options.kind == HeadKind::kClasses) return;
  if (task.options.kind == HeadKind::kOrdinal) {
    std::vector<double> shares(static_cast<std::size_t>(task.options.classes), 0.0);
    double rows = 0.0;
    for (const double target : targets) {
      if (std::isnan(target)) continue;
      shares.at(static_cast<std::size_t>(target)) += 1.0;
      rows += 1.0;
    }
    for (double& share : shares) share /= std::max(rows, 1.0);
    parameters_[head].assign(head_name(task) + ".thresholds", raw_thresholds(shares));
    return;
  }
  const auto columns = static_cast<std::size_t>(output_count(task.options));
  std::vector<double> means;
  std::vector<double> deviations;
  for (std::size_t c = 0; c < columns; ++c) {
    const Moments moments = finite_moments(column_of(targets, columns, c));
    means.push_back(moments.mean);
    deviations.push_back(moments.deviation > 0 ? moments.deviation : 1.0);
  }
  if (is_standard(task.options)) {
    parameters_[head].assign(head_name(task) + ".mean", means);
    parameters_[head].assign(head_name(task) + ".deviation", deviations);
  }
  std::vector<double> biases;
  for (std::size_t c = 0; c < columns; ++c) biases.push_back(initial_bias(head, c, means[c]));
  parameters_[head].assign(head_name(task) + ".bias", biases);
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
  if (has_classes(options.kind)) return;
  std::vector<double> biases;
  for (std::size_t c = 0; c < static_cast<std::size_t>(output_count(options)); ++c) {
    biases.push_back(initial_bias(head, c, value));
  }
  parameters_[head].assign(head_name(tasks_[head]) + ".bias", biases);
}

double Heads::initial_bias(std::size_t head, std::size_t column, double value) const {
  const HeadOptions& options = tasks_[head].options;
  if (options.kind != HeadKind::kRegression) return share_logit(value);
  const at::Tensor target = torch::full({options.outputs}, value, torch::kFloat64);
  return linear_target(head, target)[static_cast<std::int64_t>(column)].item<double>();
}

void Heads::set_initial_map(std::size_t head, std::span<const double> values) {
  if (tasks_.at(head).options.kind == HeadKind::kSegmentation) return;
  parameters_[head].assign(head_name(tasks_[head]) + ".out.bias", values);
}

void Heads::to(tensor::Device device, tensor::DType dtype) {
  for (Parameters& own : parameters_) own.to(device, dtype);
}

}  // namespace detente::nn
