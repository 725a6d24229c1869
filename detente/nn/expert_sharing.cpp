// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/expert_sharing.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <cmath>
#include <utility>

namespace detente::nn {
namespace {

std::string level_name(std::int64_t level) { return std::to_string(level); }

std::string shared_expert(std::int64_t level, std::int64_t expert) {
  return "sharing_experts." + level_name(level) + "." + std::to_string(expert);
}

std::string task_expert(const std::string& task, std::int64_t level, std::int64_t expert) {
  return "sharing_tasks." + task + ".experts." + level_name(level) + "." + std::to_string(expert);
}

std::string shared_gate(std::int64_t level) {
  return "sharing_gates." + level_name(level) + ".weight";
}

std::string task_gate(const std::string& task, std::int64_t level) {
  return "sharing_tasks." + task + ".gates." + level_name(level) + ".weight";
}

at::Tensor draw_gate(std::int64_t experts, std::int64_t in, Draw& draw) {
  return draw.uniform({experts, in}, 1.0 / std::sqrt(static_cast<double>(in)));
}

// Σ_i softmax(weight x)_i experts_i.
at::Tensor mixed(const TensorList& experts, const at::Tensor& weight, const at::Tensor& x) {
  const at::Tensor shares = torch::softmax(torch::matmul(x, weight.t()), 1);
  return (torch::stack(experts, 1) * shares.unsqueeze(2)).sum(1);
}

}  // namespace

ExpertSharing::ExpertSharing(Form form) : form_(form) {
  if (form != Form::kMmoe) experts_ = 2;
}

const char* ExpertSharing::kind() const {
  switch (form_) {
    case Form::kMmoe:
      return "mmoe";
    case Form::kCgc:
      return "cgc";
    case Form::kPle:
      break;
  }
  return "ple";
}

void ExpertSharing::describe(FieldVisitor& model) {
  model.integer("experts", experts_, {.min = 1, .max = 1e4}, "Experts that all tasks share.");
  if (form_ != Form::kMmoe) {
    model.integer(
        "task_experts", task_experts_, {.min = 0, .max = 1e4}, "Experts of each task's own.");
  }
  if (form_ == Form::kPle) {
    model.integer("levels",
                  levels_,
                  {.min = 1, .max = 100},
                  "Levels of experts one above the other; 1: as cgc.");
  }
  model.numbers("expert_widths",
                widths_,
                {.min = 1, .max = 1e6},
                "Widths of an expert's hidden layers; of every level.");
}

void ExpertSharing::validate() const {
  check_sizes("nn::ExpertSharing", "expert_widths", widths_, "hidden layer");
}

std::int64_t ExpertSharing::width(std::int64_t /*features*/) const {
  return static_cast<std::int64_t>(widths_.back());
}

// The roles of the header: what lies above decides.
const Parameters& ExpertSharing::experts_of(std::int64_t level, std::size_t task) const {
  return level + 1 == levels() ? own_[task] : shared_;
}
const Parameters& ExpertSharing::gate_of(std::int64_t level, std::size_t task) const {
  return level + 2 >= levels() ? own_[task] : shared_;
}
Parameters& ExpertSharing::experts_of(std::int64_t level, std::size_t task) {
  return const_cast<Parameters&>(std::as_const(*this).experts_of(level, task));
}
Parameters& ExpertSharing::gate_of(std::int64_t level, std::size_t task) {
  return const_cast<Parameters&>(std::as_const(*this).gate_of(level, task));
}

void ExpertSharing::make_expert(Parameters& into,
                                const std::string& name,
                                std::int64_t in,
                                Draw& draw) const {
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    const auto out = static_cast<std::int64_t>(widths_[i]);
    into.add_linear(draw, name + "." + std::to_string(i), in, out);
    in = out;
  }
}

at::Tensor ExpertSharing::expert(const Parameters& from,
                                 const std::string& name,
                                 const at::Tensor& x) const {
  at::Tensor y = x;
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    y = torch::relu(from.linear(y, name + "." + std::to_string(i)));
  }
  return y;
}

void ExpertSharing::make(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) {
  tasks_ = tasks;
  std::int64_t in = width;
  for (std::int64_t level = 0; level < levels(); ++level) {
    for (std::int64_t e = 0; e < experts_; ++e) {
      make_expert(shared_, shared_expert(level, e), in, draw);
    }
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      for (std::int64_t e = 0; e < task_experts(); ++e) {
        make_expert(experts_of(level, k), task_expert(tasks[k], level, e), in, draw);
      }
      gate_of(level, k).add(task_gate(tasks[k], level),
                            draw_gate(experts_ + task_experts(), in, draw));
    }
    if (level + 1 < levels()) {
      const auto all = experts_ + task_experts() * static_cast<std::int64_t>(tasks.size());
      shared_.add(shared_gate(level), draw_gate(all, in, draw));
    }
    in = this->width(in);
  }
}

TensorList ExpertSharing::operator()(const at::Tensor& features) const {
  TensorList own(tasks_.size(), features);
  at::Tensor common = features;
  for (std::int64_t level = 0; level < levels(); ++level) {
    TensorList experts;
    for (std::int64_t e = 0; e < experts_; ++e) {
      experts.push_back(expert(shared_, shared_expert(level, e), common));
    }
    TensorList all = experts;
    TensorList mixtures;
    for (std::size_t k = 0; k < tasks_.size(); ++k) {
      TensorList chosen = experts;
      for (std::int64_t e = 0; e < task_experts(); ++e) {
        chosen.push_back(expert(experts_of(level, k), task_expert(tasks_[k], level, e), own[k]));
        all.push_back(chosen.back());
      }
      mixtures.push_back(mixed(chosen, gate_of(level, k)(task_gate(tasks_[k], level)), own[k]));
    }
    if (level + 1 < levels()) common = mixed(all, shared_(shared_gate(level)), common);
    own = std::move(mixtures);
  }
  return own;
}

}  // namespace detente::nn
