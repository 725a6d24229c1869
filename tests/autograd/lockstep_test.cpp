// SPDX-License-Identifier: Apache-2.0
// Stretches of a model, passes that halt between them, and the Gram matrix formed on the way.
#include <detente/autograd/lockstep.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace detente::autograd {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

// Four layers of 25 numbers each, and two tasks on the features.
struct Model {
  TensorList weights;
  TensorList heads;

  Model() {
    torch::manual_seed(3);
    for (int i = 0; i < 4; ++i) weights.push_back(parameter({5, 5}));
    for (int k = 0; k < 2; ++k) heads.push_back(parameter({5}));
  }
  static at::Tensor parameter(at::IntArrayRef shape) {
    return torch::randn(shape, torch::kDouble).requires_grad_();
  }
  static at::Tensor input() {
    torch::manual_seed(4);
    return torch::randn({6, 5}, torch::kDouble);
  }
  at::Tensor layer(const at::Tensor& h, std::size_t i) const {
    return torch::tanh(h.matmul(weights[i].t()));
  }
  at::Tensor features() const {
    at::Tensor h = input();
    for (std::size_t i = 0; i < 4; ++i) h = layer(h, i);
    return h;
  }
  TensorList losses_on(const at::Tensor& z) const {
    return {z.matmul(heads[0]).square().mean(), z.matmul(heads[1]).exp().mean()};
  }
  TensorList losses() const { return losses_on(features()); }
};

std::vector<int> parameters_of(const std::vector<Stretch>& stretches, std::size_t s) {
  return s < stretches.size() ? stretches[s].parameters : std::vector<int>{};
}

TEST(Stretches, HoldAsManyLayersAsAllowed) {
  const Model model;
  const auto two = find_stretches(model.losses(), model.weights, 50);
  ASSERT_EQ(two.size(), 2U);
  EXPECT_THAT(parameters_of(two, 0), ElementsAre(3, 2));  // from the losses down
  EXPECT_THAT(parameters_of(two, 1), ElementsAre(1, 0));
  EXPECT_EQ(two[0].numbers, 50);
  EXPECT_FALSE(two[0].border.empty());
  EXPECT_TRUE(two[1].border.empty());
  EXPECT_EQ(find_stretches(model.losses(), model.weights, 1000).size(), 1U);
  // A layer larger than what is allowed still is a stretch.
  EXPECT_EQ(find_stretches(model.losses(), model.weights, 1).size(), 4U);
}

TEST(Stretches, DoNotEndBetweenTwoUsesOfAWeight) {
  const Model model;
  const auto z = model.layer(model.layer(model.layer(Model::input(), 0), 1), 0);
  const TensorList losses = model.losses_on(z);
  const auto stretches = find_stretches(losses, {model.weights[0], model.weights[1]}, 1);
  ASSERT_EQ(stretches.size(), 1U);
  EXPECT_THAT(parameters_of(stretches, 0), UnorderedElementsAre(0, 1));
}

TEST(Stretches, DoNotEndInsideAResidualBlock) {
  const Model model;
  const auto below = model.layer(Model::input(), 0);
  const auto block = below + model.layer(model.layer(below, 1), 2);
  const auto stretches = find_stretches(model.losses_on(model.layer(block, 3)), model.weights, 1);
  ASSERT_EQ(stretches.size(), 3U);
  EXPECT_THAT(parameters_of(stretches, 0), ElementsAre(3));
  EXPECT_THAT(parameters_of(stretches, 1), UnorderedElementsAre(1, 2));
  EXPECT_THAT(parameters_of(stretches, 2), ElementsAre(0));
}

TEST(Stretches, DoNotEndWhereTheUserHasAHook) {
  const Model model;
  at::Tensor h = Model::input();
  const Node* hooked = nullptr;
  for (std::size_t i = 0; i < 4; ++i) {
    h = model.layer(h, i);
    if (i != 1) continue;
    h.register_hook([](const at::Tensor& gradient) { return gradient; });
    hooked = h.grad_fn().get();
  }
  const auto stretches = find_stretches(model.losses_on(h), model.weights, 1);
  EXPECT_GT(stretches.size(), 1U);
  for (const Stretch& stretch : stretches) {
    for (const Edge& edge : stretch.border) EXPECT_NE(edge.function.get(), hooked);
  }
}

struct Step {
  explicit Step(const Model& model, std::vector<int> groups = {})
      : losses(model.losses()),
        own({{model.heads[0]}, {model.heads[1]}}),
        layout(model.weights),
        groups(std::move(groups)),
        tensors{losses, model.weights, own, layout, {}, this->groups} {}

  TensorList losses;
  std::vector<TensorList> own;
  tensor::FlatLayout layout;
  std::vector<int> groups;
  StepTensors tensors;
};

TEST(Fronts, HaltingPassesFindWhatWholeOnesDo) {
  const Model model;
  const Step step(model);
  const auto stretches = find_stretches(step.losses, model.weights, 1);
  ASSERT_EQ(stretches.size(), 4U);
  Fronts fronts(step.tensors);
  for (std::size_t s = 0; s < stretches.size(); ++s) {
    const auto p = static_cast<std::size_t>(stretches[s].parameters[0]);
    for (std::size_t k = 0; k < 2; ++k) {
      const TensorList found =
          fronts.pass(k, stretches[s].border, {edge_of(model.weights[p])}, /*keep_graph=*/true);
      const TensorList expected =
          torch::autograd::grad({step.losses[k]}, {model.weights[p]}, {}, /*retain_graph=*/true);
      EXPECT_TRUE(torch::allclose(found[0], expected[0], 1e-12, 1e-14)) << s << " " << k;
    }
  }
}

TEST(Fronts, ATaskThatEndsEarlyFindsNothingBelow) {
  const Model model;
  const auto z = model.features();
  // The second loss does not reach the model.
  const TensorList losses = {z.square().sum(), model.heads[1].square().sum()};
  const std::vector<TensorList> own = {{}, {model.heads[1]}};
  const tensor::FlatLayout layout(model.weights);
  Fronts fronts(StepTensors{losses, model.weights, own, layout, {}});
  const TensorList found = fronts.pass(1, {edge_of(z)}, {edge_of(model.heads[1])}, true);
  EXPECT_TRUE(found[0].defined());
  EXPECT_FALSE(fronts.pass(1, {}, {edge_of(model.weights[0])}, true)[0].defined());
  EXPECT_TRUE(fronts.pass(0, {edge_of(z)}, {}, true).empty());
  EXPECT_TRUE(fronts.pass(0, {}, {edge_of(model.weights[0])}, true)[0].defined());
}

at::Tensor rows_of(const TensorList& losses, const TensorList& weights) {
  std::vector<at::Tensor> rows;
  for (const auto& loss : losses) {
    std::vector<at::Tensor> pieces;
    for (const auto& one : torch::autograd::grad({loss}, weights, {}, /*retain_graph=*/true)) {
      pieces.push_back(one.flatten());
    }
    rows.push_back(torch::cat(pieces));
  }
  return torch::stack(rows);
}

TEST(Lockstep, FormsTheGramMatrixOfAllAndOfGroups) {
  const Model model;
  for (const std::int64_t numbers : {1, 50, 1000}) {
    const Step step(model, {1, 0, 1, 0});
    TaskBlocks result;
    form_lockstep(step.tensors, numbers, result);
    const at::Tensor rows = rows_of(step.losses, model.weights);
    const at::Tensor gram = rows.mm(rows.t());
    const at::Tensor parts = rows.view({2, 4, 25});
    for (std::int64_t i = 0; i < 2; ++i) {
      for (std::int64_t j = 0; j < 2; ++j) {
        const auto a = static_cast<std::size_t>(i);
        const auto b = static_cast<std::size_t>(j);
        EXPECT_NEAR(result.gram(a, b), gram[i][j].item<double>(), 1e-12);
        const at::Tensor each = (parts[i] * parts[j]).sum(1);
        EXPECT_NEAR(result.group_grams[0](a, b), (each[1] + each[3]).item<double>(), 1e-12);
        EXPECT_NEAR(result.group_grams[1](a, b), (each[0] + each[2]).item<double>(), 1e-12);
      }
    }
    EXPECT_THAT(result.reached, ElementsAre(true, true, true, true));
    for (std::size_t k = 0; k < 2; ++k) {
      const TensorList head = torch::autograd::grad(
          {step.losses[k]}, {model.heads[k]}, {}, /*retain_graph=*/true);  // the graph is whole
      EXPECT_TRUE(torch::allclose(result.own_gradients[k][0], head[0], 1e-12, 1e-14));
    }
  }
}

}  // namespace
}  // namespace detente::autograd
