// SPDX-License-Identifier: Apache-2.0
// The engine's step on a trunk, against plain passes of LibTorch.
#pragma once

#include <detente/balance/registry.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/nn/trunk.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <vector>

namespace detente::test {

// Three losses of the trunk's features: each of all examples, or each of examples of its own, by
// `task_of_example`. Checks Gram matrix and direction of cagrad; gives the report.
inline engine::StepReport expect_plain_gradients(
    nn::Trunk& trunk,
    const data::Batch& batch,
    engine::Strategy strategy,
    const std::vector<std::int64_t>& task_of_example = {}) {
  const TensorList shared = trunk.parameters().trained_tensors();
  for (at::Tensor one : shared) one.requires_grad_(true);
  const auto losses = [&] {
    const at::Tensor features = trunk.features(batch);
    TensorList list;
    for (std::int64_t k = 0; k < 3; ++k) {
      const at::Tensor target = torch::arange(features.numel(), torch::kDouble)
                                    .mul(0.7 + static_cast<double>(k))
                                    .sin()
                                    .view_as(features);
      at::Tensor each = (features - target).square().sum(1);
      if (!task_of_example.empty()) {
        const at::Tensor own = torch::tensor(task_of_example).eq(k).nonzero().squeeze(1);
        each = each.index_select(0, own);
      }
      list.push_back(each.mean());
    }
    return list;
  };
  TensorList rows;
  for (const at::Tensor& loss : losses()) {
    const auto parts = torch::autograd::grad({loss}, shared, {}, /*retain_graph=*/true);
    TensorList flat;
    for (const at::Tensor& part : parts) flat.push_back(part.flatten());
    rows.push_back(torch::cat(flat));
  }
  const at::Tensor all = torch::stack(rows);
  const at::Tensor gram = all.mm(all.t());
  engine::MultiTaskOptions options;
  options.strategy = strategy;
  options.diagnose_every = 1;
  engine::MultiTaskBackward backward(
      shared, {}, balance::make_method("cagrad"), {"a", "b", "c"}, options);
  backward.set_rows(task_of_example);
  Rng rng(0);
  const engine::StepReport report = backward(losses(), rng);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(report.gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                  gram[i][j].item<double>(),
                  1e-9 * gram.abs().max().item<double>());
    }
  }
  const at::Tensor weights = torch::tensor(report.weights, torch::kDouble);
  const at::Tensor direction = weights.unsqueeze(0).mm(all).squeeze(0);
  std::int64_t at = 0;
  const auto names = trunk.parameters().trained_names();
  for (std::size_t i = 0; i < shared.size(); ++i) {
    const at::Tensor part = direction.narrow(0, at, shared[i].numel()).view_as(shared[i]);
    EXPECT_TRUE(torch::allclose(shared[i].grad(), part, 1e-8, 1e-10)) << names[i];
    at += shared[i].numel();
  }
  return report;
}

}  // namespace detente::test
