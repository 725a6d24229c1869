// SPDX-License-Identifier: Apache-2.0
// Tasks with examples of their own: each has its own data and targets, all share one trunk.
//
// The batches go through the trunk as one, and each task's head takes its slice of the result. The
// engine sees the slices in the graph and forms the gradient of each task from its own rows: one
// backward pass, whatever the number of tasks, and no change to the model.
#include <detente/balance/registry.h>
#include <detente/engine/multi_task_backward.h>
#include <torch/torch.h>

#include <cstdio>
#include <string>
#include <vector>

int main() {
  torch::manual_seed(1);
  torch::set_num_threads(1);
  constexpr int kTasks = 4;
  // Task k: a sine of its own frequency, measured on its own points, each on another scale.
  std::vector<torch::Tensor> x, y;
  for (int k = 0; k < kTasks; ++k) {
    const int points = 32 + 16 * k;
    x.push_back(torch::rand({points, 1}) * 6 - 3);
    y.push_back(torch::sin((k + 1) * x.back()) * (k + 1));
  }

  torch::nn::Sequential trunk(
      torch::nn::Linear(1, 64), torch::nn::Tanh(), torch::nn::Linear(64, 64), torch::nn::Tanh());
  std::vector<torch::nn::Linear> heads;
  std::vector<std::vector<torch::Tensor>> own;
  std::vector<std::string> names;
  std::vector<torch::optim::OptimizerParamGroup> groups = {trunk->parameters()};
  for (int k = 0; k < kTasks; ++k) {
    heads.emplace_back(64, 1);
    own.push_back(heads.back()->parameters());
    groups.emplace_back(heads.back()->parameters());
    names.push_back("sine" + std::to_string(k + 1));
  }
  torch::optim::Adam optimizer(groups, torch::optim::AdamOptions(3e-3));
  detente::engine::MultiTaskBackward backward(
      trunk->parameters(), own, detente::balance::make_method("upgrad"), names);
  detente::Rng rng(1);

  const torch::Tensor all = torch::cat(x);
  std::vector<std::int64_t> sizes;
  for (const auto& part : x) sizes.push_back(part.size(0));
  for (int step = 0; step < 800; ++step) {
    const std::vector<torch::Tensor> features = trunk->forward(all).split_with_sizes(sizes);
    std::vector<torch::Tensor> losses;
    for (int k = 0; k < kTasks; ++k) {
      losses.push_back(torch::mse_loss(heads[k]->forward(features[k]), y[k]));
    }
    const auto& report = backward(losses, rng);
    optimizer.step();
    if (step != 0 && step != 799) continue;
    std::printf("step %3d, strategy %s:", step + 1, detente::engine::name_of(report.strategy));
    for (int k = 0; k < kTasks; ++k) {
      std::printf("  %s %.3f", names[k].c_str(), report.losses[k] / y[k].var().item<double>());
    }
    std::printf("\n");
  }
}
