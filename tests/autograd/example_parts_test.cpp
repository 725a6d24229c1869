// SPDX-License-Identifier: Apache-2.0
// Examples' parts of a gradient, against LibTorch's gradient of each example's own loss.
#include <detente/autograd/example_parts.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/support/layer_zoo.h"

namespace detente::autograd {
namespace {

using zoo::in_full;
using zoo::kBatch;
using zoo::Trunk;
using zoo::Zoo;

struct Case {
  Trunk trunk;
  at::Tensor z;
  TensorList each;  // two losses of each example, [N]
};

Case make_case(const Zoo& zoo) {
  torch::manual_seed(5);
  Case made{zoo.make(torch::kDouble), {}, {}};
  torch::manual_seed(7);
  made.z = made.trunk.forward(made.trunk.input);
  const auto target =
      torch::arange(made.z.numel(), torch::kDouble).remainder(5).view(made.z.sizes());
  made.each = {(made.z - 0.3 * target).square().flatten(1).sum(1),
               (made.z * target).sin().flatten(1).sum(1)};
  return made;
}

// [N, groups] by one gradient per example.
at::Tensor expected_products(const Case& made,
                             std::size_t k,
                             const TensorList& direction,
                             const std::vector<bool>& followed,
                             const std::vector<int>& group_of,
                             std::int64_t groups) {
  at::Tensor all = torch::zeros({kBatch, groups}, torch::kDouble);
  for (std::int64_t i = 0; i < kBatch; ++i) {
    const auto gradients = torch::autograd::grad(
        {made.each[k][i]}, made.trunk.parameters, {}, /*retain_graph=*/true, false, true);
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      if (!followed[p] || !gradients[p].defined()) continue;
      all[i][group_of[p]] += (in_full(gradients[p]) * direction[p]).sum();
    }
  }
  return all;
}

class ExamplePartsOf : public testing::TestWithParam<Zoo> {};

TEST_P(ExamplePartsOf, AreInnerProductsWithEachExamplesGradient) {
  const Case made = make_case(GetParam());
  const TensorList& parameters = made.trunk.parameters;
  ExampleParts parts({made.z}, parameters);
  EXPECT_EQ(parts.examples(), kBatch);
  // Tensors that are the same for all examples, and kinds of nodes that are asked as a whole.
  const std::set<std::string> lost = {
      "positions", "computed_weights", "grouped_products", "odd_arithmetic"};
  const auto& followed = parts.followed();
  EXPECT_EQ(std::count(followed.begin(), followed.end(), false) > 0,
            lost.count(GetParam().name) > 0);
  parts.add(made.each[0].sum());
  parts.add({});
  parts.add(made.each[1].mean());
  TensorList direction;
  std::vector<int> group_of;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    direction.push_back(torch::randn(parameters[p].sizes(), torch::kDouble));
    group_of.push_back(static_cast<int>(p % 3));
  }
  const at::Tensor products = parts.products(direction, group_of, 3);
  ASSERT_EQ(products.sizes(), (std::vector<std::int64_t>{3, kBatch, 3}));
  EXPECT_EQ(products[1].abs().max().item<double>(), 0.0);
  const std::vector<bool> all(parameters.size(), true);
  torch::manual_seed(7);
  const at::Tensor again = made.trunk.forward(made.trunk.input);
  const at::Tensor whole =
      products + parts.other_products({again}, {direction, direction}, group_of, 3)[1];
  for (const auto& [loss, k, factor] : {std::tuple{0, 0U, 1.0}, {2, 1U, 1.0 / kBatch}}) {
    const at::Tensor expected =
        factor * expected_products(made, k, direction, parts.followed(), group_of, 3);
    EXPECT_TRUE(torch::allclose(
        products[loss], expected, 1e-9, 1e-11 * (1 + expected.abs().max().item<double>())))
        << "loss " << loss << "\n"
        << products[loss] << "\n"
        << expected;
    const at::Tensor of_all = factor * expected_products(made, k, direction, all, group_of, 3);
    EXPECT_TRUE(
        torch::allclose(whole[loss], of_all, 1e-9, 1e-11 * (1 + of_all.abs().max().item<double>())))
        << "loss " << loss << "\n"
        << whole[loss] << "\n"
        << of_all;
  }
}

TEST_P(ExamplePartsOf, RowsMakeUpEachExamplesGradient) {
  const Case made = make_case(GetParam());
  ExampleParts parts({made.z}, made.trunk.parameters);
  parts.add(made.each[0].sum());
  for (const RowLayer& layer : parts.row_layers(0)) {
    ASSERT_EQ(layer.input.size(0), kBatch);
    ASSERT_EQ(layer.gradient.size(1), layer.input.size(1));
    const at::Tensor weight = made.trunk.parameters[static_cast<std::size_t>(layer.weight)];
    for (std::int64_t i = 0; i < kBatch; ++i) {
      const at::Tensor expected =
          in_full(torch::autograd::grad({made.each[0][i]}, {weight}, {}, true)[0]);
      const at::Tensor found = layer.gradient[i].t().mm(layer.input[i]).view(weight.sizes());
      EXPECT_TRUE(torch::allclose(found, expected, 1e-9, 1e-11)) << "example " << i;
      if (layer.bias < 0) continue;
      const at::Tensor bias = made.trunk.parameters[static_cast<std::size_t>(layer.bias)];
      EXPECT_TRUE(torch::allclose(layer.gradient[i].sum(0),
                                  torch::autograd::grad({made.each[0][i]}, {bias}, {}, true)[0],
                                  1e-9,
                                  1e-11));
    }
  }
}

// Kinds whose examples do not influence each other.
std::vector<Zoo> apart() {
  std::vector<Zoo> all;
  for (const Zoo& zoo : zoo::models()) {
    // A hook changes what the gradient is.
    if (zoo.segmentable && zoo.derivative) all.push_back(zoo);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Zoo, ExamplePartsOf, testing::ValuesIn(apart()), [](const auto& info) {
  return std::string(info.param.name);
});

TEST(ExampleParts, RowLayersAreLinearOnesAndConvolutionsUsedOnce) {
  torch::manual_seed(2);
  torch::nn::Linear twice(12, 12);
  torch::nn::Conv2d grouped(torch::nn::Conv2dOptions(2, 2, 3).groups(2).padding(1));
  torch::nn::Conv2d whole(torch::nn::Conv2dOptions(2, 3, 3).stride(2).padding(1));
  const at::Tensor x =
      whole->forward(grouped->forward(torch::randn({5, 2, 4, 4})).relu()).flatten(1);
  const at::Tensor z = twice->forward(twice->forward(x).tanh());
  ExampleParts parts({z},
                     {twice->weight, twice->bias, grouped->weight, whole->weight, whole->bias});
  parts.add(z.square().sum());
  const auto layers = parts.row_layers(0);
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].weight, 3);
  EXPECT_EQ(layers[0].bias, 4);
  EXPECT_EQ(layers[0].input.sizes(), (std::vector<std::int64_t>{5, 4, 18}));
  EXPECT_EQ(layers[0].gradient.sizes(), (std::vector<std::int64_t>{5, 4, 3}));
}

TEST(ExampleParts, OfBatchStatisticsStillAddUp) {
  torch::manual_seed(2);
  torch::nn::Sequential net(
      torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 4, 3).stride(2).padding(1).bias(false)),
      torch::nn::BatchNorm2d(4),
      torch::nn::ReLU(),
      torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 4, 3).groups(2).dilation(2).padding(2)),
      torch::nn::Flatten(),
      torch::nn::Linear(64, 3));
  net->to(torch::kDouble);
  const TensorList parameters = net->parameters();
  const at::Tensor z = net->forward(torch::randn({6, 2, 8, 8}, torch::kDouble));
  const at::Tensor loss = z.sin().mean();
  ExampleParts parts({z}, parameters);
  parts.add(loss);
  const auto gradients = torch::autograd::grad({loss}, parameters);
  TensorList direction;
  std::vector<int> group_of;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    ASSERT_TRUE(parts.followed()[p]) << p;
    direction.push_back(torch::randn_like(parameters[p]));
    group_of.push_back(static_cast<int>(p));
  }
  const at::Tensor sums =
      parts.products(direction, group_of, static_cast<std::int64_t>(parameters.size()))[0].sum(0);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    EXPECT_NEAR(sums[static_cast<std::int64_t>(p)].item<double>(),
                (gradients[p] * direction[p]).sum().item<double>(),
                1e-12);
  }
}

TEST(ExampleParts, SeveralPredictionsOfOneTrunk) {
  torch::manual_seed(2);
  torch::nn::Linear trunk(5, 7);
  torch::nn::Linear left(7, 2);
  torch::nn::Linear right(7, 1);
  for (auto layer : {trunk, left, right}) layer->to(torch::kDouble);
  TensorList parameters;
  for (const auto& layer : {trunk, left, right}) {
    parameters.insert(parameters.end(), {layer->weight, layer->bias});
  }
  const at::Tensor features = trunk->forward(torch::randn({4, 5}, torch::kDouble)).tanh();
  const TensorList predictions = {left->forward(features), right->forward(features)};
  const TensorList each = {predictions[0].square().sum(1), predictions[1].exp().squeeze(1)};
  ExampleParts parts(predictions, parameters);
  for (const auto& loss : each) parts.add(loss.mean());
  TensorList direction;
  for (const auto& one : parameters) direction.push_back(torch::randn_like(one));
  const at::Tensor products = parts.products(direction, std::vector<int>(6, 0), 1);
  for (std::int64_t k = 0; k < 2; ++k) {
    for (std::int64_t i = 0; i < 4; ++i) {
      const auto gradients = torch::autograd::grad({each[static_cast<std::size_t>(k)][i] / 4},
                                                   parameters,
                                                   {},
                                                   /*retain_graph=*/true,
                                                   false,
                                                   /*allow_unused=*/true);
      double expected = 0;
      for (std::size_t p = 0; p < 6; ++p) {
        if (gradients[p].defined()) expected += (gradients[p] * direction[p]).sum().item<double>();
      }
      EXPECT_NEAR(products[k][i][0].item<double>(), expected, 1e-12);
    }
  }
}

TEST(ExampleParts, RefuseWhatIsNotOfTheExamples) {
  const auto w = torch::randn({3, 2}, torch::kDouble).requires_grad_();
  const at::Tensor z = torch::randn({4, 3}, torch::kDouble).mm(w);
  EXPECT_THROW(ExampleParts({}, {w}), Error);
  EXPECT_THROW(ExampleParts({z.detach()}, {w}), Error);
  try {
    ExampleParts({z, z.narrow(0, 0, 2)}, {w});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
  }
}

}  // namespace
}  // namespace detente::autograd
