// SPDX-License-Identifier: Apache-2.0
// A training loop of one's own with a balanced gradient. Detente's part is the object `backward`,
// made once, and the call that stands where loss.backward() would.
//
// Two tasks share a trunk and pull it in different directions: one learns sin(x), the other, on a
// scale ten times larger, cos(2x). The program prints what each method leaves of both errors.
#include <detente/balance/registry.h>
#include <detente/engine/multi_task_backward.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

struct Outcome {
  double sine, cosine;  // mean squared error in units of the target's variance
  int conflicts;        // steps in which the two gradients pointed against each other
};

Outcome train(const std::string& method) {
  torch::manual_seed(1);
  torch::nn::Sequential trunk(
      torch::nn::Linear(1, 32), torch::nn::Tanh(), torch::nn::Linear(32, 32), torch::nn::Tanh());
  torch::nn::Linear sine(32, 1);
  torch::nn::Linear cosine(32, 1);
  std::vector<torch::optim::OptimizerParamGroup> groups = {
      trunk->parameters(), sine->parameters(), cosine->parameters()};
  torch::optim::Adam optimizer(groups, torch::optim::AdamOptions(3e-3));

  detente::engine::MultiTaskBackward backward(trunk->parameters(),
                                              {sine->parameters(), cosine->parameters()},
                                              detente::balance::make_method(method),
                                              {"sine", "cosine"},
                                              {.diagnose_every = 1});
  detente::Rng rng(1);

  const torch::Tensor x = torch::linspace(-3, 3, 128).unsqueeze(1);
  const torch::Tensor y_sine = torch::sin(x);
  const torch::Tensor y_cosine = 10 * torch::cos(2 * x);
  Outcome outcome{};
  for (int step = 0; step < 600; ++step) {
    const torch::Tensor shared = trunk->forward(x);
    const std::vector<torch::Tensor> losses = {torch::mse_loss(sine->forward(shared), y_sine),
                                               torch::mse_loss(cosine->forward(shared), y_cosine)};
    const auto& report = backward(losses, rng);
    optimizer.step();
    outcome.sine = report.losses[0] / y_sine.var().item<double>();
    outcome.cosine = report.losses[1] / y_cosine.var().item<double>();
    outcome.conflicts += report.conflict ? 1 : 0;
  }
  return outcome;
}

int main() {
  torch::set_num_threads(1);
  std::printf("%-8s %8s %8s %12s\n", "method", "sine", "cosine", "conflicts");
  for (const std::string method : {"ew", "cagrad", "mgda"}) {
    const Outcome outcome = train(method);
    std::printf("%-8s %8.4f %8.4f %8d/600\n",
                method.c_str(),
                outcome.sine,
                outcome.cosine,
                outcome.conflicts);
    if (!std::isfinite(outcome.sine + outcome.cosine)) return 1;
  }
  return 0;
}
