// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/control/task_mlp.h>
#include <detente/core/error.h>
#include <detente/nn/options.h>

#include <cmath>
#include <numeric>
#include <utility>

namespace detente::control {
namespace {

void add_xavier(nn::Parameters& parameters,
                nn::Draw& draw,
                const std::string& name,
                std::int64_t in,
                std::int64_t out) {
  const double bound = std::sqrt(6.0 / static_cast<double>(in + out));
  parameters.add(name + ".weight", draw.uniform({out, in}, bound));
  parameters.add(name + ".bias", at::zeros({out}));
}

// [N, K]: 1 at each row's task.
at::Tensor one_hot(const TaskCounts& counts, const at::Tensor& like) {
  at::Tensor marks =
      at::zeros({like.size(0), static_cast<std::int64_t>(counts.size())}, like.options());
  std::int64_t row = 0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    marks.narrow(0, row, counts[k]).select(1, static_cast<std::int64_t>(k)).fill_(1);
    row += counts[k];
  }
  return marks;
}

}  // namespace

TaskMlp::TaskMlp(const TaskMlpOptions& options,
                 std::int64_t tasks,
                 std::int64_t inputs,
                 std::int64_t outputs,
                 std::string prefix,
                 nn::Parameters& parameters,
                 nn::Draw& draw)
    : options_(options), tasks_(tasks), prefix_(std::move(prefix)) {
  nn::check_sizes("control::TaskMlp", "widths", options_.widths, "hidden layer");
  std::int64_t in = inputs + (options_.task_input ? tasks : 0);
  for (std::size_t i = 0; i < options_.widths.size(); ++i) {
    const auto out = static_cast<std::int64_t>(options_.widths[i]);
    add_xavier(parameters, draw, prefix_ + "hidden." + std::to_string(i), in, out);
    in = out;
  }
  const bool per_task = options_.heads == TaskMlpOptions::Heads::kPerTask;
  for (std::int64_t k = 0; k < (per_task ? tasks : 1); ++k) {
    add_xavier(parameters, draw, head(k), in, outputs);
  }
}

at::Tensor TaskMlp::forward(const nn::Parameters& parameters,
                            const at::Tensor& rows,
                            const TaskCounts& counts) const {
  DETENTE_CHECK(std::ssize(counts) == tasks_ &&
                    std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == rows.size(0),
                ErrorCode::kShape,
                "[control::TaskMlp] expected counts of {} tasks that add up to {} rows.",
                tasks_,
                rows.size(0));
  at::Tensor x = options_.task_input ? at::cat({rows, one_hot(counts, rows)}, 1) : rows;
  for (std::size_t i = 0; i < options_.widths.size(); ++i) {
    x = parameters.linear(x, prefix_ + "hidden." + std::to_string(i)).relu();
  }
  if (options_.heads == TaskMlpOptions::Heads::kOne) return parameters.linear(x, head(0));
  TensorList answers;
  std::int64_t row = 0;
  for (std::int64_t k = 0; k < tasks_; ++k) {
    const std::int64_t count = counts[static_cast<std::size_t>(k)];
    if (count > 0) answers.push_back(parameters.linear(x.narrow(0, row, count), head(k)));
    row += count;
  }
  return at::cat(answers, 0);
}

std::vector<std::string> TaskMlp::shared_names() const {
  std::vector<std::string> names;
  const auto add = [&](const std::string& layer) {
    names.push_back(layer + ".weight");
    names.push_back(layer + ".bias");
  };
  for (std::size_t i = 0; i < options_.widths.size(); ++i) {
    add(prefix_ + "hidden." + std::to_string(i));
  }
  if (options_.heads == TaskMlpOptions::Heads::kOne) add(head(0));
  return names;
}

std::vector<std::string> TaskMlp::own_names(std::int64_t task) const {
  if (options_.heads == TaskMlpOptions::Heads::kOne) return {};
  return {head(task) + ".weight", head(task) + ".bias"};
}

std::string TaskMlp::head(std::int64_t task) const {
  if (options_.heads == TaskMlpOptions::Heads::kOne) return prefix_ + "head";
  return prefix_ + "head." + std::to_string(task);
}

}  // namespace detente::control
