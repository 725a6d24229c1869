// SPDX-License-Identifier: Apache-2.0
// The Gram matrix by itself, and the K gradients as blocks.
#include <detente/autograd/sequential.h>
#include <detente/autograd/task_blocks.h>
#include <detente/autograd/task_gram.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/layer_zoo.h"

namespace detente::autograd {
namespace {

TensorList three_losses(const zoo::Trunk& trunk, bool apart) {
  torch::manual_seed(7);
  const at::Tensor z = trunk.forward(trunk.input);
  if (!apart) return {z.square().mean(), z.exp().mean(), z.sin().sum()};
  return {z.narrow(0, 0, 2).square().mean(),
          z.narrow(0, 2, 4).exp().mean(),
          z.narrow(0, 6, 3).sin().sum()};
}

at::Tensor plain_gram(const TensorList& losses, const TensorList& parameters) {
  std::vector<at::Tensor> rows;
  for (const auto& loss : losses) {
    std::vector<at::Tensor> pieces;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      at::Tensor one = torch::autograd::grad(
          {loss}, {parameters[p]}, {}, /*retain_graph=*/true, false, /*allow_unused=*/true)[0];
      if (!one.defined()) one = torch::zeros_like(parameters[p]);
      pieces.push_back((one.is_sparse() ? one.to_dense() : one).flatten());
    }
    rows.push_back(torch::cat(pieces));
  }
  const at::Tensor all = torch::stack(rows);
  return all.mm(all.t());
}

class TaskGram : public testing::TestWithParam<zoo::Zoo> {};

TEST_P(TaskGram, IsThatOfPlainGradientsAndWritesNone) {
  for (const bool apart : {false, true}) {
    for (const bool low_memory : {false, true}) {
      torch::manual_seed(5);
      const zoo::Trunk trunk = GetParam().make(torch::kDouble);
      if (!GetParam().derivative) GTEST_SKIP() << "a hook would run once more";
      const at::Tensor expected = plain_gram(three_losses(trunk, apart), trunk.parameters);
      const Matrix gram =
          task_gram(three_losses(trunk, apart), trunk.parameters, {.low_memory = low_memory});
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 3; ++j) {
          const double size = (expected[i][i] * expected[j][j]).sqrt().item<double>();
          EXPECT_NEAR(gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                      expected[i][j].item<double>(),
                      1e-10 * size);
        }
      }
      for (const auto& parameter : trunk.parameters) EXPECT_FALSE(parameter.grad().defined());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, TaskGram, testing::ValuesIn(zoo::models()), [](const auto& info) {
  return std::string(info.param.name);
});

TEST(TaskGramOf, LeavesOutAbsentTasksAndFrozenParameters) {
  torch::manual_seed(5);
  const zoo::Trunk trunk = zoo::make_mlp(torch::kDouble);
  trunk.parameters[0].set_requires_grad(false);
  TensorList losses = three_losses(trunk, true);
  const TensorList rest(trunk.parameters.begin() + 1, trunk.parameters.end());
  const at::Tensor expected = plain_gram({losses[0], losses[2]}, rest);
  losses[1] = at::Tensor();
  const Matrix gram = task_gram(losses, trunk.parameters);
  EXPECT_TRUE(std::isnan(gram(1, 1)));
  EXPECT_TRUE(std::isnan(gram(0, 1)));
  EXPECT_NEAR(gram(0, 2), expected[0][1].item<double>(), 1e-10);
  EXPECT_NEAR(gram(2, 2), expected[1][1].item<double>(), 1e-9);
  EXPECT_TRUE(std::isnan(task_gram(TensorList(2), trunk.parameters)(0, 0)));
}

TEST(TaskGramOf, SaysWhatIsWrongWithALoss) {
  const auto w = torch::randn({3}, torch::kDouble).requires_grad_();
  const auto code_of = [&](const TensorList& losses) {
    try {
      task_gram(losses, {w});
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of({w.square()}), ErrorCode::kShape);
  EXPECT_EQ(code_of({torch::ones({}, torch::kDouble)}), ErrorCode::kInvalidArgument);
}

// A step on two parameters of 6 and 5 numbers.
struct TwoParameters {
  TensorList shared = {torch::randn({2, 3}, torch::kDouble).requires_grad_(),
                       torch::randn({5}, torch::kDouble).requires_grad_()};
  TensorList losses = {shared[0].square().sum() + shared[1].exp().sum(), shared[0].sin().sum()};
  std::vector<TensorList> own = {{}, {}};
  tensor::FlatLayout layout = tensor::FlatLayout(shared);
  StepTensors tensors{losses, shared, own, layout, {}};
};

TEST(TaskBlocks, CombineToTheSumOfTheirRows) {
  torch::manual_seed(2);
  TwoParameters step;
  const std::vector<int> groups = {1, 0};
  step.tensors.groups = groups;
  TaskBlocks blocks;
  blocks.start(step.tensors);
  const at::Tensor rows = torch::randn({2, 11}, torch::kDouble);
  blocks.make(0).copy_(rows.narrow(1, 0, 6));
  blocks.make(1).copy_(rows.narrow(1, 6, 5));
  blocks.complete(0);
  blocks.complete(1);
  blocks.finish();
  const at::Tensor gram = rows.mm(rows.t());
  EXPECT_NEAR(blocks.gram(0, 1), gram[0][1].item<double>(), 1e-12);
  EXPECT_NEAR(
      blocks.group_grams[0](1, 1), rows[1].narrow(0, 6, 5).square().sum().item<double>(), 1e-12);
  at::Tensor direction = torch::empty({11}, torch::kDouble);
  blocks.combine({.lists = {{2.0, 0.5}, {-1.0, 3.0}}, .group_of = groups}, direction);
  const at::Tensor first = -rows[0] + 3 * rows[1];
  const at::Tensor second = 2 * rows[0] + 0.5 * rows[1];
  EXPECT_TRUE(torch::allclose(direction.narrow(0, 0, 6), first.narrow(0, 0, 6), 1e-12, 1e-14));
  EXPECT_TRUE(torch::allclose(direction.narrow(0, 6, 5), second.narrow(0, 6, 5), 1e-12, 1e-14));
  // The same as columns of one matrix.
  blocks.start(step.tensors);
  blocks.use_matrix(rows);
  blocks.complete_matrix();
  blocks.finish();
  EXPECT_NEAR(blocks.gram(0, 1), gram[0][1].item<double>(), 1e-12);
  at::Tensor again = torch::empty({11}, torch::kDouble);
  blocks.combine({.lists = {{2.0, 0.5}, {-1.0, 3.0}}, .group_of = groups}, again);
  EXPECT_TRUE(torch::allclose(again, direction, 1e-12, 1e-14));
}

TEST(TaskBlocks, SequentialPassesFillThemAndSayWhatIsReached) {
  torch::manual_seed(2);
  const TwoParameters step;
  const at::Tensor expected = plain_gram(step.losses, step.shared);
  TaskBlocks blocks;
  form_sequential(step.tensors, blocks);
  EXPECT_NEAR(blocks.gram(0, 1), expected[0][1].item<double>(), 1e-12);
  EXPECT_THAT(blocks.reached, testing::ElementsAre(true, true));
  at::Tensor rows = torch::empty({2, 11}, torch::kDouble);
  blocks.write_to(rows);
  EXPECT_EQ(rows[1].narrow(0, 6, 5).abs().max().item<double>(), 0.0);
}

}  // namespace
}  // namespace detente::autograd
