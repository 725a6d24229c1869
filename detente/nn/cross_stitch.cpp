// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/cross_stitch.h>
#include <detente/nn/options.h>
#include <torch/types.h>

#include <utility>

namespace detente::nn {
namespace {

std::string tower_layer(const std::string& task, std::size_t layer) {
  return "sharing_tasks." + task + ".tower." + std::to_string(layer);
}

std::string stitch_row(const std::string& task, std::size_t layer) {
  return "sharing_tasks." + task + ".stitch." + std::to_string(layer);
}

}  // namespace

void CrossStitch::describe(FieldVisitor& model) {
  model.numbers("tower_widths",
                widths_,
                {.min = 1, .max = 1e6},
                "Widths of the hidden layers of each task's tower.");
  model.number(
      "own_share",
      own_share_,
      {.min = 0, .max = 1},
      "What a task's own tower counts in its mixtures at first; the others share the rest.");
}

void CrossStitch::validate() const {
  check_sizes("nn::CrossStitch", "tower_widths", widths_, "hidden layer");
}

std::int64_t CrossStitch::width(std::int64_t /*features*/) const {
  return static_cast<std::int64_t>(widths_.back());
}

const Parameters& CrossStitch::stitch_of(std::size_t layer, std::size_t task) const {
  return layer + 1 == widths_.size() ? own_[task] : shared_;
}

void CrossStitch::make(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) {
  tasks_ = tasks;
  const auto count = static_cast<std::int64_t>(tasks.size());
  const double rest = count > 1 ? (1.0 - own_share_) / static_cast<double>(count - 1) : 0.0;
  std::int64_t in = width;
  for (std::size_t layer = 0; layer < widths_.size(); ++layer) {
    const auto out = static_cast<std::int64_t>(widths_[layer]);
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      // Through the last mixture every tower reaches every task, so none of them is a task's own.
      shared_.add_linear(draw, tower_layer(tasks[k], layer), in, out);
      at::Tensor row = torch::full({count}, rest, torch::kFloat32);
      row[static_cast<std::int64_t>(k)] = count > 1 ? own_share_ : 1.0;
      const bool last = layer + 1 == widths_.size();
      (last ? own_[k] : shared_).add(stitch_row(tasks[k], layer), row);
    }
    in = out;
  }
}

TensorList CrossStitch::operator()(const at::Tensor& features) const {
  TensorList towers(tasks_.size(), features);
  for (std::size_t layer = 0; layer < widths_.size(); ++layer) {
    TensorList outputs;
    for (std::size_t k = 0; k < tasks_.size(); ++k) {
      outputs.push_back(torch::relu(shared_.linear(towers[k], tower_layer(tasks_[k], layer))));
    }
    const at::Tensor all = torch::stack(outputs, 1);
    for (std::size_t k = 0; k < tasks_.size(); ++k) {
      const at::Tensor row = stitch_of(layer, k)(stitch_row(tasks_[k], layer));
      towers[k] = (all * row.unsqueeze(1)).sum(1);
    }
  }
  return towers;
}

}  // namespace detente::nn
