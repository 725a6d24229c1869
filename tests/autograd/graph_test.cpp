// SPDX-License-Identifier: Apache-2.0
// What is read from the graph behind the losses: border, layers, where the examples lie.
#include <detente/autograd/graph.h>
#include <detente/autograd/layers/layer_rule.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace detente::autograd {
namespace {

namespace nn = torch::nn;
using testing::ElementsAre;

constexpr std::int64_t kExamples = 6;

at::Tensor parameter(at::IntArrayRef shape) {
  return torch::randn(shape, torch::kDouble).requires_grad_();
}

// Two tasks, the first 4 examples and the last 2 of what `features` are.
TensorList losses_of(const at::Tensor& features) {
  return {features.narrow(0, 0, 4).square().sum(), features.narrow(0, 4, 2).exp().sum()};
}

Graph read(const at::Tensor& features, const TensorList& shared) {
  return read_graph(losses_of(features), shared, {});
}

TEST(Graph, FindsTheBorderAndTheTasksOfTheExamples) {
  const auto w = parameter({3, 5});
  const auto z = torch::tanh(torch::randn({kExamples, 5}, torch::kDouble).matmul(w.t()));
  const TensorList losses = losses_of(z);
  const Graph graph = read_graph(losses, {w}, {});
  ASSERT_EQ(graph.features.size(), 1U);
  EXPECT_EQ(graph.features[0].function.get(), z.grad_fn().get());
  EXPECT_FALSE(graph.heads_use_shared);
  EXPECT_THAT(graph.examples.task_of, ElementsAre(0, 0, 0, 0, 1, 1));
  EXPECT_TRUE(graph.examples.contiguous);
  EXPECT_THAT(graph.examples.begin, ElementsAre(0, 4));
  EXPECT_THAT(graph.examples.end, ElementsAre(4, 6));
}

// A pass that starts at both would count what reaches the lower one through the upper one twice.
TEST(Graph, SaysWhenTheBorderLiesAtTwoDepths) {
  const auto w = parameter({5, 5});
  const auto v = parameter({5, 5});
  const auto x = torch::tanh(torch::randn({kExamples, 5}, torch::kDouble).matmul(w.t()));
  const auto z = torch::tanh(x.matmul(v.t()));
  EXPECT_FALSE(read_graph(losses_of(z), {w, v}, {}).features_nested);
  const TensorList both = {(x * z).square().sum(), z.exp().sum()};
  const Graph graph = read_graph(both, {w, v}, {});
  EXPECT_EQ(graph.features.size(), 2U);
  EXPECT_TRUE(graph.features_nested);
  // Side by side is not one above the other.
  const auto other = torch::tanh(torch::randn({kExamples, 5}, torch::kDouble).matmul(v.t()));
  const TensorList beside = {(x * other).sum(), (x + other).exp().sum()};
  EXPECT_FALSE(read_graph(beside, {w, v}, {}).features_nested);
}

TEST(Graph, AnExampleOfTwoTasksTellsNothing) {
  const auto w = parameter({3, 5});
  const auto z = torch::randn({kExamples, 5}, torch::kDouble).matmul(w.t());
  const TensorList losses = {z.narrow(0, 0, 4).sum(), z.narrow(0, 3, 3).square().sum()};
  EXPECT_TRUE(read_graph(losses, {w}, {}).examples.empty());
}

TEST(Graph, GivenTasksCountInPlaceOfSlices) {
  const auto w = parameter({3, 5});
  const auto z = torch::randn({kExamples, 5}, torch::kDouble).matmul(w.t());
  const TensorList losses = {z.square().sum(), z.exp().sum()};
  const std::vector<std::int64_t> given = {1, 0, -1, 0, 1, 1};
  const Graph graph = read_graph(losses, {w}, given);
  EXPECT_EQ(graph.examples.task_of, given);
  EXPECT_FALSE(graph.examples.contiguous);
  ASSERT_EQ(graph.uses.size(), 1U);
  EXPECT_EQ(graph.uses[0].inner, 3);
}

TEST(Graph, AHeadThatUsesASharedParameterHasItRefused) {
  const auto w = parameter({3, 5});
  const auto z = torch::randn({kExamples, 5}, torch::kDouble).matmul(w.t());
  const TensorList losses = {z.narrow(0, 0, 4).sum() + w.square().sum(), z.narrow(0, 4, 2).sum()};
  const Graph graph = read_graph(losses, {w}, {});
  EXPECT_TRUE(graph.heads_use_shared);
  EXPECT_FALSE(graph.handled[0]);
  EXPECT_EQ(graph.unhandled_by[0], "PowBackward0");
}

TEST(Graph, NamesWhatNoRuleKnows) {
  const auto w = parameter({5});
  const auto x = torch::randn({kExamples, 5}, torch::kDouble);
  const Graph graph = read(torch::remainder(x, w), {w});
  EXPECT_THAT(graph.uses, testing::IsEmpty());
  EXPECT_FALSE(graph.handled[0]);
  EXPECT_EQ(graph.unhandled_by[0], "RemainderBackward1");
}

// What is computed from parameters alone is met as one parameter, however it is computed.
TEST(Graph, FindsWhatIsTheSameForAllExamples) {
  const auto w = parameter({3, 5});
  const auto table = parameter({4, 3});
  const auto gain = parameter({3});
  const auto x = torch::randn({kExamples, 4, 5}, torch::kDouble);
  const auto places = torch::relu(table.cumsum(0)) * gain;
  const Graph graph = read((x.matmul(w.sin().t()) + places) * gain, {w, table, gain});
  ASSERT_EQ(graph.uses.size(), 3U);
  EXPECT_EQ(graph.uses[0].weight, 2);  // from the losses down
  EXPECT_EQ(graph.uses[1].bias, 3);
  EXPECT_EQ(graph.uses[2].weight, 4);
  EXPECT_TRUE(graph.uses[2].weight_is_out_in);
  ASSERT_EQ(graph.batch_free.size(), 2U);
  EXPECT_EQ(graph.batch_free[0].edge.function.get(), places.grad_fn().get());
  EXPECT_THAT(graph.batch_free[0].parameters, ElementsAre(1, 2));
  EXPECT_THAT(graph.batch_free[1].parameters, ElementsAre(0));
  EXPECT_THAT(graph.handled, ElementsAre(true, true, true, true, true));

  Graph without = graph;
  without.forget_batch_free();
  ASSERT_EQ(without.uses.size(), 1U);
  EXPECT_EQ(without.uses[0].weight, 2);
  EXPECT_THAT(without.handled, ElementsAre(false, false, false));
}

TEST(Graph, KnowsHowAWeightLies) {
  const auto out_in = parameter({3, 5});
  const auto in_out = parameter({3, 4});
  const auto x = torch::randn({kExamples, 5}, torch::kDouble);
  const Graph graph = read(x.matmul(out_in.t()).matmul(in_out), {out_in, in_out});
  ASSERT_EQ(graph.uses.size(), 2U);
  EXPECT_EQ(graph.uses[0].weight, 1);  // from the losses down
  EXPECT_FALSE(graph.uses[0].weight_is_out_in);
  EXPECT_EQ(graph.uses[1].weight, 0);
  EXPECT_TRUE(graph.uses[1].weight_is_out_in);
}

struct Kind {
  const char* name;
  LayerKind kind;
  std::function<at::Tensor(const at::Tensor&, TensorList&)> layer;  // appends its parameters
  std::vector<std::int64_t> input;                                  // without the batch
  std::int64_t inner;  // where the batch lies in the layer's own output
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

template <class Layer>
auto of(Layer layer) {
  layer->to(torch::kDouble);
  return [layer](const at::Tensor& x, TensorList& parameters) mutable {
    for (const auto& one : layer->parameters()) parameters.push_back(one);
    return layer->forward(x);
  };
}

std::vector<Kind> kinds() {
  nn::BatchNorm1d norm(5);
  norm->eval();
  return {
      {"linear", LayerKind::kLinear, of(nn::Linear(5, 3)), {5}, 3},
      {"linear_on_sequences", LayerKind::kLinear, of(nn::Linear(5, 3)), {4, 5}, 12},
      {"conv1d", LayerKind::kConvolution, of(nn::Conv1d(nn::Conv1dOptions(2, 3, 2))), {2, 5}, 12},
      {"conv2d",
       LayerKind::kConvolution,
       of(nn::Conv2d(nn::Conv2dOptions(2, 3, 2))),
       {2, 4, 4},
       27},
      {"deconv1d",
       LayerKind::kTransposedConvolution,
       of(nn::ConvTranspose1d(nn::ConvTranspose1dOptions(2, 3, 2).stride(2))),
       {2, 4},
       24},
      {"deconv3d",
       LayerKind::kTransposedConvolution,
       of(nn::ConvTranspose3d(nn::ConvTranspose3dOptions(2, 3, 2))),
       {2, 2, 2, 2},
       81},
      {"layer_norm",
       LayerKind::kScaleShift,
       of(nn::LayerNorm(nn::LayerNormOptions({5}))),
       {4, 5},
       20},
      {"group_norm", LayerKind::kScaleShift, of(nn::GroupNorm(2, 4)), {4, 5}, 20},
      {"batch_norm", LayerKind::kScaleShift, of(norm), {5}, 5},
  };
}

class GraphKinds : public testing::TestWithParam<Kind> {};

TEST_P(GraphKinds, IsReadWithItsParametersAndTheBatch) {
  const Kind& kind = GetParam();
  std::vector<std::int64_t> shape = kind.input;
  shape.insert(shape.begin(), kExamples);
  TensorList shared;
  const auto y = kind.layer(torch::randn(shape, torch::kDouble), shared);
  const Graph graph = read(torch::tanh(y).flatten(1), shared);
  ASSERT_EQ(graph.uses.size(), 1U);
  EXPECT_EQ(graph.uses[0].rule->kind, kind.kind);
  EXPECT_EQ(graph.uses[0].weight, 0);
  EXPECT_EQ(graph.uses[0].bias, 1);
  EXPECT_EQ(graph.uses[0].inner, kind.inner);
  EXPECT_THAT(graph.handled, ElementsAre(true, true));
}

INSTANTIATE_TEST_SUITE_P(All, GraphKinds, testing::ValuesIn(kinds()), [](const auto& info) {
  return std::string(info.param.name);
});

struct Flow {
  const char* name;
  std::function<at::Tensor(const at::Tensor&)> above;  // from the layer's [B, 4, 5] to the features
  std::int64_t inner;                                  // at the layer; 0: mixed
};

void PrintTo(const Flow& flow, std::ostream* out) { *out << flow.name; }

class GraphFlow : public testing::TestWithParam<Flow> {};

// A layer of scales at the bottom, [B, 4, 5] whatever happens above.
TEST_P(GraphFlow, FollowsTheBatch) {
  const auto gain = parameter({5});
  const auto x = torch::randn({kExamples, 4, 5}, torch::kDouble);
  const auto z = GetParam().above(x * gain);
  ASSERT_EQ(z.size(0), kExamples);
  const Graph graph = read(z, {gain});
  const auto use = std::find_if(
      graph.uses.begin(), graph.uses.end(), [](const LayerUse& one) { return one.weight == 0; });
  ASSERT_NE(use, graph.uses.end());
  EXPECT_EQ(use->inner, GetParam().inner);
}

INSTANTIATE_TEST_SUITE_P(
    Nodes,
    GraphFlow,
    testing::Values(
        Flow{"elementwise", [](const at::Tensor& h) { return torch::sigmoid(h).exp(); }, 20},
        Flow{"broadcast",
             [](const at::Tensor& h) {
               return h + torch::ones({4, 1}, h.options());
             },
             20},
        Flow{"flattened",
             [](const at::Tensor& h) {
               return h.view({kExamples * 4, 5}).tanh().view({kExamples, 20});
             },
             20},
        Flow{"turned_twice",
             [](const at::Tensor& h) {
               return h.permute({2, 0, 1}).tanh().permute({1, 0, 2});
             },
             20},
        Flow{"mean_over_rows", [](const at::Tensor& h) { return h.mean(1); }, 20},
        Flow{"selected", [](const at::Tensor& h) { return h.select(1, 2); }, 20},
        Flow{"softmax_over_rows", [](const at::Tensor& h) { return h.softmax(1); }, 20},
        Flow{"parts_joined",
             [](const at::Tensor& h) {
               const auto p = h.split(2, 1);
               return torch::cat({p[1], p[0]}, 2);
             },
             20},
        Flow{"attention", [](const at::Tensor& h) { return h.bmm(h.transpose(1, 2)).bmm(h); }, 20},
        Flow{"stacked",
             [](const at::Tensor& h) {
               const auto p = h.unbind(1);
               return torch::stack({p[2] * p[0], p[1].roll(1, 1)}, 1);
             },
             20},
        Flow{"unbound_behind_the_batch",
             [](const at::Tensor& h) { return h.unbind(2)[3].amax(1, true) * h.unbind(2)[0]; },
             20},
        Flow{"looked_up",
             [](const at::Tensor& h) {
               const auto places = torch::tensor({3, 0, 3});
               return h.index_select(1, places) + h.index({torch::indexing::Slice(), places});
             },
             20},
        Flow{"one_place_of_each",
             [](const at::Tensor& h) {
               return h.index({torch::arange(kExamples), torch::tensor({0, 3, 1, 1, 2, 0})});
             },
             20},
        Flow{"places_of_some",
             [](const at::Tensor& h) {
               return h.index(
                   {torch::tensor({0, 3, 1, 1, 2, 0}), torch::arange(4).repeat(2).slice(0, 0, 6)});
             },
             0},
        Flow{"repeated",
             [](const at::Tensor& h) {
               return h.repeat({1, 2, 1}).norm(2, {1});
             },
             20},
        Flow{"repeated_in_the_batch",
             [](const at::Tensor& h) {
               return h.slice(0, 0, 3).repeat({2, 1, 1});
             },
             0},
        Flow{"windows", [](const at::Tensor& h) { return h.unfold(1, 2, 1).var(3); }, 20},
        Flow{"part_of_a_split_mixed",
             [](const at::Tensor& h) {
               const auto p = h.split(2, 1);
               return p[0] + p[1].mean(0, true);
             },
             0},
        Flow{"cumulated", [](const at::Tensor& h) { return h.cumsum(0); }, 0},
        Flow{"softmax_over_the_batch", [](const at::Tensor& h) { return h.softmax(0); }, 0},
        Flow{"centred", [](const at::Tensor& h) { return h - h.mean(0, true); }, 0}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Graph, BatchStatisticsMixExamples) {
  nn::BatchNorm1d norm(5);
  norm->to(torch::kDouble);
  const auto w = parameter({5, 3});
  const auto z = norm->forward(torch::randn({kExamples, 3}, torch::kDouble).matmul(w.t()));
  const Graph graph = read(z, {w});
  ASSERT_EQ(graph.uses.size(), 1U);
  EXPECT_EQ(graph.uses[0].inner, 0);
  EXPECT_EQ(graph.batch_lost_at, "NativeBatchNormBackward0");
}

TEST(ExampleTasks, AreClaimedOnce) {
  ExampleTasks examples;
  EXPECT_TRUE(examples.claim(5, 1, 3, 0));
  EXPECT_TRUE(examples.claim(5, 1, 2, 0));
  EXPECT_FALSE(examples.claim(5, 2, 4, 1));
  EXPECT_FALSE(examples.claim(6, 4, 5, 1));
}

TEST(ExampleTasks, StretchesOfATaskWithoutExamplesAreEmpty) {
  ExampleTasks examples;
  examples.task_of = {0, 0, -1, 2};
  examples.find_stretches(3);
  EXPECT_TRUE(examples.contiguous);
  EXPECT_EQ(examples.begin[1], examples.end[1]);
  examples.task_of = {0, 2, 0, 2};
  examples.find_stretches(3);
  EXPECT_FALSE(examples.contiguous);
}

}  // namespace
}  // namespace detente::autograd
