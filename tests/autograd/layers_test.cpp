// SPDX-License-Identifier: Apache-2.0
// The rules of the layer kinds, against LibTorch's gradients of single tasks and single examples.
#include <detente/autograd/layers.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/row_products.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/layer_zoo.h"

namespace detente::autograd {
namespace {

using zoo::in_full;
using zoo::kBatch;
using zoo::Trunk;
using zoo::Zoo;

// Every example's own loss, [N]; not the same function for all, so that no gradient is twice there.
at::Tensor loss_of_each(const Trunk& trunk, const at::Tensor& input) {
  torch::manual_seed(7);  // the same dropout every time
  const at::Tensor z = trunk.forward(input);
  const auto target =
      torch::arange(z.numel(), torch::kDouble).remainder(5).view(z.sizes()).to(z.scalar_type());
  return (z - 0.3 * target).square().sum(1);
}

// A trunk's layers with the gradients at their outputs. Four tasks that share everything.
struct Reading {
  explicit Reading(const Trunk& trunk, const at::Tensor& input, std::span<const std::int64_t> tasks)
      : each(loss_of_each(trunk, input)),
        graph(read_graph(TensorList(4, each), trunk.parameters, tasks)) {
    graph.forget_batch_free();  // layers alone
    std::vector<Edge> outputs;
    for (const LayerUse& use : graph.uses) {
      inputs.push_back(read_layer_input(use, trunk.parameters));
      outputs.push_back(use.output());
    }
    deltas = gradients_at({edge_of(each)}, {at::ones_like(each)}, outputs, /*keep_graph=*/true);
  }

  at::Tensor each;
  Graph graph;
  std::vector<LayerInput> inputs;
  TensorList deltas;
};

// Kinds whose examples do not influence each other, and whose layers are all handled.
std::vector<Zoo> readable() {
  std::vector<Zoo> all;
  for (const Zoo& zoo : zoo::models()) {
    // A hook changes what the gradient is; sparse gradients come apart from dense ones.
    if (zoo.segmentable && zoo.derivative) all.push_back(zoo);
  }
  return all;
}

class LayerRules : public testing::TestWithParam<Zoo> {};

TEST_P(LayerRules, TaskGradientsAreThoseOfTheTasksLosses) {
  torch::manual_seed(5);
  const Trunk trunk = GetParam().make(torch::kDouble);
  for (const std::vector<std::int64_t>& tasks :
       {std::vector<std::int64_t>{0, 0, 0, 1, 1, 1, 3, 3, 3},
        std::vector<std::int64_t>{0, 0, 1, 1, 1, 1, 1, 3, 3},
        std::vector<std::int64_t>{3, 1, 0, -1, 1, 1, 0, 3, 3}}) {
    const Reading reading(trunk, trunk.input, tasks);  // the third has no examples
    TensorList blocks;
    for (const auto& one : trunk.parameters) {
      blocks.push_back(torch::full({4, one.numel()}, 7.0, torch::kDouble));
    }
    std::vector<bool> written(blocks.size(), false);
    const auto to = [&](int p) {
      if (p < 0) return TaskBlock{};
      const auto i = static_cast<std::size_t>(p);
      const TaskBlock block{blocks[i], written[i]};
      written[i] = true;
      return block;
    };
    for (std::size_t u = 0; u < reading.graph.uses.size(); ++u) {
      const LayerUse& use = reading.graph.uses[u];
      ASSERT_GT(use.inner, 0) << use.node->name();
      const TaskBlock weight = to(use.weight);
      task_gradients(
          use, reading.inputs[u], reading.deltas[u], reading.graph.examples, weight, to(use.bias));
    }
    const at::Tensor each = loss_of_each(trunk, trunk.input);
    for (std::int64_t k = 0; k < 4; ++k) {
      const auto mask = torch::tensor(tasks).eq(k).to(torch::kDouble);
      const TensorList expected =
          torch::autograd::grad({(each * mask).sum()}, trunk.parameters, {}, /*retain_graph=*/true);
      for (std::size_t p = 0; p < blocks.size(); ++p) {
        if (!reading.graph.handled[p]) continue;
        ASSERT_TRUE(written[p]) << "parameter " << p;
        EXPECT_TRUE(torch::allclose(blocks[p][k], in_full(expected[p]).flatten(), 1e-9, 1e-11))
            << "parameter " << p << ", task " << k;
      }
    }
  }
}

// Uses of one weight at two places have products with each other, which are not asked for here.
bool alone(const LayerUse& use, const Graph& graph) {
  for (const int p : {use.weight, use.bias}) {
    if (p >= 0 && !graph.handled[static_cast<std::size_t>(p)]) return false;
  }
  return std::count_if(graph.uses.begin(), graph.uses.end(), [&](const LayerUse& other) {
           return (use.weight >= 0 && other.weight == use.weight) ||
                  (use.bias >= 0 && other.bias == use.bias);
         }) == 1;
}

// [N, n] explicit gradients of every example with respect to the use's parameters.
at::Tensor example_gradients(const Trunk& trunk, const at::Tensor& input, const LayerUse& use) {
  std::vector<at::Tensor> rows;
  const at::Tensor each = loss_of_each(trunk, input);
  for (std::int64_t i = 0; i < each.size(0); ++i) {
    std::vector<at::Tensor> pieces;
    for (const int p : {use.weight, use.bias}) {
      if (p < 0) continue;
      pieces.push_back(
          in_full(torch::autograd::grad({each[i]},
                                        {trunk.parameters[static_cast<std::size_t>(p)]},
                                        {},
                                        /*retain_graph=*/true)[0])
              .flatten());
    }
    rows.push_back(torch::cat(pieces));
  }
  return torch::stack(rows);
}

TEST_P(LayerRules, RowProductsAreThoseOfTheExamplesGradients) {
  torch::manual_seed(5);
  const Trunk trunk = GetParam().make(torch::kDouble);
  const at::Tensor other =
      trunk.input.is_floating_point() ? torch::randn_like(trunk.input) : trunk.input.flip(0) + 1;
  const std::vector<std::int64_t> all(static_cast<std::size_t>(kBatch), 0);
  const Reading a(trunk, trunk.input, all);
  const Reading b(trunk, other, all);
  for (std::size_t u = 0; u < a.graph.uses.size(); ++u) {
    const LayerUse& use = a.graph.uses[u];
    if (!alone(use, a.graph) || use.rule->kind == LayerKind::kOther) continue;
    at::Tensor products = torch::full({kBatch, kBatch}, 2.0, torch::kDouble);
    add_row_products(use, a.inputs[u], a.deltas[u], b.inputs[u], b.deltas[u], products);
    const at::Tensor left = example_gradients(trunk, trunk.input, use);
    const at::Tensor right = example_gradients(trunk, other, use);
    const at::Tensor expected = left.mm(right.t()) + 2.0;
    EXPECT_TRUE(torch::allclose(
        products, expected, 1e-9, 1e-10 * (1 + expected.abs().max().item<double>())))
        << use.node->name() << ", use " << u;
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, LayerRules, testing::ValuesIn(readable()), [](const auto& info) {
  return std::string(info.param.name);
});

TEST(RowProducts, TakeManyRowsAsWellAsFew) {
  // So many rows that the gradients are formed, and so many examples that they come in pieces.
  torch::manual_seed(3);
  const auto w = torch::randn({40, 30}, torch::kDouble).requires_grad_();
  const auto run = [&](std::int64_t examples, std::int64_t rows) {
    const auto x = torch::randn({examples, rows, 30}, torch::kDouble);
    const auto each = torch::tanh(x.matmul(w.t())).square().sum({1, 2});
    const std::vector<std::int64_t> all(static_cast<std::size_t>(examples), 0);
    const Graph graph = read_graph({each, each}, {w}, all);
    ASSERT_EQ(graph.uses.size(), 1U);
    const LayerInput input = read_layer_input(graph.uses[0], {w});
    const at::Tensor delta = gradients_at(
        {edge_of(each)}, {at::ones_like(each)}, {graph.uses[0].output()}, /*keep_graph=*/true)[0];
    at::Tensor products = torch::zeros({examples, examples}, torch::kDouble);
    add_row_products(graph.uses[0], input, delta, input, delta, products);
    std::vector<at::Tensor> gradients;
    for (std::int64_t i = 0; i < examples; ++i) {
      gradients.push_back(
          torch::autograd::grad({each[i]}, {w}, {}, /*retain_graph=*/true)[0].flatten());
    }
    const at::Tensor formed = torch::stack(gradients);
    EXPECT_TRUE(torch::allclose(products, formed.mm(formed.t()), 1e-9, 1e-9));
  };
  run(5, 100);
  run(400, 1);
  run(1, 3);
}

TEST(RowProducts, OfATableMeetWhereExamplesLookUpTheSameEntries) {
  torch::manual_seed(3);
  torch::nn::Embedding table(torch::nn::EmbeddingOptions(6, 4).padding_idx(0));
  table->to(torch::kDouble);
  const at::Tensor w = table->weight;
  const auto ids_a = torch::tensor({{1, 2, 2}, {3, 0, 1}, {0, 0, 0}, {5, 4, 3}}, torch::kLong);
  const auto ids_b = torch::tensor({{2, 2, 0}, {5, 5, 5}}, torch::kLong);
  const auto each_of = [&](const at::Tensor& ids) {
    return (table->forward(ids) * torch::arange(1.0, 13.0).view({3, 4})).sin().sum({1, 2});
  };
  const auto delta_of = [&](const at::Tensor& each, const LayerUse& use) {
    return gradients_at({edge_of(each)}, {at::ones_like(each)}, {use.output()}, true)[0];
  };
  const auto rows_of = [&](const at::Tensor& each) {
    std::vector<at::Tensor> rows;
    for (std::int64_t i = 0; i < each.size(0); ++i) {
      rows.push_back(torch::autograd::grad({each[i]}, {w}, {}, /*retain_graph=*/true)[0].flatten());
    }
    return torch::stack(rows);
  };
  const at::Tensor each_a = each_of(ids_a);
  const at::Tensor each_b = each_of(ids_b);
  const Graph a = read_graph({each_a, each_a}, {w}, std::vector<std::int64_t>(4, 0));
  const Graph b = read_graph({each_b, each_b}, {w}, std::vector<std::int64_t>(2, 0));
  ASSERT_EQ(a.uses.size(), 1U);
  ASSERT_EQ(b.uses.size(), 1U);
  at::Tensor products = torch::zeros({4, 2}, torch::kDouble);
  add_row_products(a.uses[0],
                   read_layer_input(a.uses[0], {w}),
                   delta_of(each_a, a.uses[0]),
                   read_layer_input(b.uses[0], {w}),
                   delta_of(each_b, b.uses[0]),
                   products);
  const at::Tensor expected = rows_of(each_a).mm(rows_of(each_b).t());
  EXPECT_NE(expected[0][0].item<double>(), 0.0);
  EXPECT_EQ(expected[2].abs().max().item<double>(), 0.0);  // padding alone
  EXPECT_TRUE(torch::allclose(products, expected, 1e-10, 1e-12));
}

TEST(RowProducts, RefuseExamplesThatAreMixed) {
  const auto w = torch::randn({5, 3}, torch::kDouble).requires_grad_();
  const auto h = torch::randn({4, 3}, torch::kDouble).matmul(w.t());
  const auto each = (h - h.mean(0, true)).square().sum(1);
  const std::vector<std::int64_t> all(4, 0);
  Graph graph = read_graph({each, each}, {w}, all);
  graph.forget_batch_free();
  ASSERT_EQ(graph.uses.size(), 1U);
  const LayerInput input = read_layer_input(graph.uses[0], {w});
  at::Tensor products = torch::zeros({4, 4}, torch::kDouble);
  try {
    add_row_products(graph.uses[0], input, h, input, h, products);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("mixes examples"));
  }
}

}  // namespace
}  // namespace detente::autograd
