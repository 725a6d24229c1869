// SPDX-License-Identifier: Apache-2.0
// Three tasks on each trunk of the zoo (tests/support/layer_zoo.h), and the gradients of plain passes
// to compare with.
#pragma once

#include <detente/balance/registry.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <torch/torch.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/support/layer_zoo.h"

namespace detente::engine::zoo {

using namespace detente::zoo;  // NOLINT: one zoo

enum class Cut { kSlices, kSplit, kGivenRows, kSingleInput };

struct Setting {
  Zoo zoo;
  Cut cut;
  torch::Dtype dtype;
};

inline void PrintTo(const Setting& setting, std::ostream* out) {
  static const char* names[] = {"slices", "split", "given_rows", "single_input"};
  *out << setting.zoo.name << "_" << names[static_cast<int>(setting.cut)]
       << (setting.dtype == torch::kDouble ? "_double" : "_float");
}

// Three tasks of unequal size on one trunk, their heads, and the losses.
struct Tasks {
  Trunk trunk;
  std::vector<TensorList> heads;
  std::vector<std::string> names = {"a", "b", "c"};
  std::vector<std::int64_t> rows;  // task of each example
  Cut cut;
  double scale = 1;  // of all losses

  Tasks(const Setting& setting) : cut(setting.cut) {
    torch::manual_seed(5);
    trunk = setting.zoo.make(setting.dtype);
    rows = cut == Cut::kGivenRows ? std::vector<std::int64_t>{0, 2, 1, 1, 2, -1, 0, 1, 1}
                                  : std::vector<std::int64_t>{0, 0, 1, 1, 1, 1, 2, 2, 2};
    torch::manual_seed(6);
    const auto width = trunk.forward(trunk.input).size(1);
    for (std::size_t k = 0; k < 3; ++k) {
      heads.push_back({torch::randn({width}, setting.dtype).requires_grad_(),
                       torch::randn({}, setting.dtype).requires_grad_()});
    }
  }

  TensorList losses() {
    torch::manual_seed(7);  // the same dropout whenever the losses are made
    const at::Tensor z = trunk.forward(trunk.input);
    TensorList parts;
    if (cut == Cut::kSplit) {
      parts = z.split_with_sizes({2, 4, 3});
    } else if (cut == Cut::kSlices) {
      parts = {z.narrow(0, 0, 2), z.slice(0, 2, 6), z.slice(0, 6)};
    } else if (cut == Cut::kGivenRows) {
      for (std::int64_t k = 0; k < 3; ++k) {
        const auto tasks = torch::tensor(rows).to(z.device());
        parts.push_back(z.index_select(0, (tasks == k).nonzero().view(-1)));
      }
    } else {
      parts = {z, z, z};
    }
    TensorList result;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto y = parts[k].matmul(heads[k][0]) + heads[k][1];
      result.push_back((y - (static_cast<double>(k) - 1.0)).square().mean() * scale);
    }
    return result;
  }
  TensorList all() const {
    TensorList result = trunk.parameters;
    for (const auto& head : heads) result.insert(result.end(), head.begin(), head.end());
    return result;
  }
  TensorList gradients() const {
    TensorList result;
    for (const auto& parameter : all()) {
      result.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
    }
    return result;
  }
};

struct Outcome {
  StepReport report;
  TensorList gradients;
};

inline Outcome run(Tasks& tasks,
                   Strategy strategy,
                   const std::string& method = "upgrad",
                   MultiTaskOptions::Memory memory = MultiTaskOptions::Memory::kFast) {
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method(method),
                             tasks.names,
                             {.strategy = strategy, .memory = memory, .diagnose_every = 1});
  // A group for every two parameters in turn, so that neighbours may or may not share one.
  std::vector<int> groups;
  for (std::size_t i = 0; i < tasks.trunk.parameters.size(); ++i) {
    groups.push_back(static_cast<int>(i / 2 % 3));
  }
  backward.set_groups({"first", "second", "third"}, groups);
  if (tasks.cut == Cut::kGivenRows) backward.set_rows(tasks.rows);
  const TensorList losses = tasks.losses();
  Rng rng(3);
  Outcome outcome;
  outcome.report = backward(losses, rng);
  outcome.gradients = tasks.gradients();
  return outcome;
}

inline at::Tensor in_full(const at::Tensor& gradient) {
  return gradient.is_sparse() ? gradient.to_dense() : gradient;
}

// Row k: the gradient of loss k by a plain backward pass.
inline at::Tensor plain_rows(Tasks& tasks) {
  std::vector<at::Tensor> rows;
  for (std::size_t k = 0; k < 3; ++k) {
    tensor::clear_gradients(tasks.all());
    tasks.losses()[k].backward();
    std::vector<at::Tensor> pieces;
    for (const auto& parameter : tasks.trunk.parameters) {
      pieces.push_back(parameter.grad().defined()
                           ? in_full(parameter.grad()).reshape(-1).to(torch::kDouble)
                           : torch::zeros(parameter.numel(), torch::kDouble));
    }
    rows.push_back(torch::cat(pieces));
  }
  tensor::clear_gradients(tasks.all());
  return torch::stack(rows);
}

}  // namespace detente::engine::zoo
