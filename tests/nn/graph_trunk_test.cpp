// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/graph_batch.h>
#include <detente/data/graph_source.h>
#include <detente/nn/graph_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

constexpr std::int64_t kFeatures = 5;

// Graphs with made-up features and edges; a batch is any choice of them.
struct MadeGraph {
  std::int32_t nodes = 0;
  std::vector<std::vector<float>> x;
  std::set<std::pair<std::int32_t, std::int32_t>> edges;  // first < second
};

MadeGraph made_graph(Rng& rng, std::int32_t nodes, double share) {
  MadeGraph graph{nodes, {}, {}};
  for (std::int32_t i = 0; i < nodes; ++i) {
    graph.x.emplace_back();
    for (std::int64_t f = 0; f < kFeatures; ++f) {
      graph.x.back().push_back(rng.uniform() < 0.5 ? 0.0F : static_cast<float>(rng.normal()));
    }
    for (std::int32_t j = 0; j < i; ++j) {
      if (rng.uniform() < share) graph.edges.emplace(j, i);
    }
  }
  return graph;
}

// Node i becomes node order[i].
MadeGraph permuted(const MadeGraph& graph, const std::vector<std::int32_t>& order) {
  MadeGraph other{graph.nodes, graph.x, {}};
  for (std::int32_t i = 0; i < graph.nodes; ++i) {
    other.x[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] =
        graph.x[static_cast<std::size_t>(i)];
  }
  for (const auto& [a, b] : graph.edges) {
    const std::int32_t c = order[static_cast<std::size_t>(a)];
    const std::int32_t d = order[static_cast<std::size_t>(b)];
    other.edges.emplace(std::min(c, d), std::max(c, d));
  }
  return other;
}

data::Batch batch_of(const std::vector<MadeGraph>& graphs, const std::vector<std::int32_t>& asked) {
  using Numbers = std::vector<std::int32_t>;
  Numbers feature_node, feature, from, to, degree, graph_of, sizes;
  std::vector<float> value;
  std::int32_t before = 0;
  for (const MadeGraph& graph : graphs) {
    degree.resize(static_cast<std::size_t>(before + graph.nodes));
    for (std::int32_t i = 0; i < graph.nodes; ++i) {
      for (std::int32_t f = 0; f < kFeatures; ++f) {
        const float x = graph.x[static_cast<std::size_t>(i)][static_cast<std::size_t>(f)];
        if (x == 0.0F) continue;
        feature_node.push_back(before + i);
        feature.push_back(f);
        value.push_back(x);
      }
      graph_of.push_back(static_cast<std::int32_t>(sizes.size()));
    }
    for (const auto& [a, b] : graph.edges) {
      for (const auto& [u, v] : {std::pair{a, b}, std::pair{b, a}}) {
        from.push_back(before + u);
        to.push_back(before + v);
        ++degree[static_cast<std::size_t>(before + u)];
      }
    }
    before += graph.nodes;
    sizes.push_back(graph.nodes);
  }
  data::Batch batch = {{"feature_node", {feature_node.size()}, feature_node},
                       {"feature", {feature.size()}, feature},
                       {"feature_value", {value.size()}, value},
                       {"from", {from.size()}, from},
                       {"to", {to.size()}, to},
                       {"degree", {degree.size()}, degree}};
  if (!asked.empty()) {
    batch.push_back({"asked", {asked.size()}, asked});
  } else {
    batch.push_back({"graph_of", {graph_of.size()}, graph_of});
    batch.push_back({"sizes", {sizes.size()}, sizes});
  }
  return batch;
}

std::vector<std::int32_t> all_of(std::int32_t nodes) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(nodes));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::unique_ptr<GraphTrunk> built_graph_trunk(const std::string& kind,
                                              const std::vector<std::string>& options = {},
                                              bool pairs = false) {
  tensor::set_threads(1);
  std::unique_ptr<GraphTrunk> trunk;
  if (kind == "gcn") trunk = std::make_unique<GcnTrunk>();
  if (kind == "gin") trunk = std::make_unique<GinTrunk>();
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    set_field([&](FieldVisitor& v) { trunk->describe(v); }, options[i], options[i + 1], "test");
  }
  Rng rng(3);
  Draw draw(rng);
  trunk->build(kFeatures, draw, pairs);
  trunk->to({}, tensor::DType::kFloat64);
  return trunk;
}

// Whatever order sums are taken in.
void expect_close(const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LT((a - b).abs().max().item<double>(),
            test::kRounding * (1 + b.abs().max().item<double>()));
}

at::Tensor dense_features(const MadeGraph& graph) {
  at::Tensor x = torch::zeros({graph.nodes, kFeatures}, torch::kFloat64);
  for (std::int32_t i = 0; i < graph.nodes; ++i) {
    for (std::int64_t f = 0; f < kFeatures; ++f) {
      x[i][f] = graph.x[static_cast<std::size_t>(i)][static_cast<std::size_t>(f)];
    }
  }
  return x;
}

at::Tensor adjacency(const MadeGraph& graph) {
  at::Tensor a = torch::zeros({graph.nodes, graph.nodes}, torch::kFloat64);
  for (const auto& [i, j] : graph.edges) {
    a[i][j] = 1;
    a[j][i] = 1;
  }
  return a;
}

TEST(GcnTrunk, EqualsTheDenseFormula) {
  for (const bool spread : {true, false}) {
    Rng rng(1);
    const MadeGraph graph = made_graph(rng, 9, 0.3);
    const auto trunk =
        built_graph_trunk("gcn", {"widths", "[4, 3]", "spread", spread ? "true" : "false"});
    const at::Tensor loops = adjacency(graph) + torch::eye(9, torch::kFloat64);
    const at::Tensor root = torch::diag(loops.sum(1).pow(-0.5));
    const at::Tensor a = root.matmul(loops).matmul(root);
    at::Tensor x = dense_features(graph);
    for (const std::string name : {"layers.0", "layers.1"}) {
      x = a.matmul(x).matmul(trunk->parameters()(name + ".weight").t());
      x = torch::relu(x + trunk->parameters()(name + ".bias"));
    }
    if (spread) x = a.matmul(x);
    expect_close(trunk->features(batch_of({graph}, all_of(9))), x);
    expect_close(trunk->features(batch_of({graph}, {})), x.sum(0, true));
  }
}

TEST(GinTrunk, EqualsTheDenseFormula) {
  Rng rng(2);
  const MadeGraph graph = made_graph(rng, 8, 0.4);
  for (const bool norm : {false, true}) {
    const auto trunk = built_graph_trunk(
        "gin", {"widths", "[6, 3]", "epsilon", "0.25", "norm", norm ? "true" : "false"});
    at::Tensor x = dense_features(graph);
    const auto linear = [&](const at::Tensor& y, const std::string& name) {
      return y.matmul(trunk->parameters()(name + ".weight").t()) +
             trunk->parameters()(name + ".bias");
    };
    for (const std::string name : {"layers.0", "layers.1"}) {
      x = linear(1.25 * x + adjacency(graph).matmul(x), name + ".first");
      if (norm) x = torch::layer_norm(x, {x.size(1)});
      x = torch::relu(linear(torch::relu(x), name + ".second"));
    }
    expect_close(trunk->features(batch_of({graph}, {})), x.sum(0, true));
  }
}

class GraphTrunkLaws : public testing::TestWithParam<const char*> {};

TEST_P(GraphTrunkLaws, PermutingNodesPermutesOrKeepsTheFeatures) {
  Rng rng(4);
  const MadeGraph graph = made_graph(rng, 12, 0.25);
  std::vector<std::int32_t> order = all_of(12);
  rng.shuffle(order);
  const MadeGraph other = permuted(graph, order);
  const auto trunk = built_graph_trunk(GetParam());
  // Node i of the one is node order[i] of the other.
  expect_close(trunk->features(batch_of({other}, order)),
               trunk->features(batch_of({graph}, all_of(12))));
  for (const char* readout : {"sum", "mean"}) {
    const auto whole = built_graph_trunk(GetParam(), {"readout", readout});
    expect_close(whole->features(batch_of({other}, {})), whole->features(batch_of({graph}, {})));
  }
}

TEST_P(GraphTrunkLaws, GraphsOfABatchDoNotSeeEachOther) {
  Rng rng(5);
  std::vector<MadeGraph> graphs;
  for (const std::int32_t nodes : {4, 1, 7, 1, 3}) graphs.push_back(made_graph(rng, nodes, 0.5));
  for (const char* readout : {"sum", "mean"}) {
    const auto trunk = built_graph_trunk(GetParam(), {"readout", readout});
    const at::Tensor together = trunk->features(batch_of(graphs, {}));
    ASSERT_EQ(together.size(0), 5);
    EXPECT_EQ(together.size(1), trunk->width());
    for (std::size_t i = 0; i < graphs.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      expect_close(together.narrow(0, row, 1), trunk->features(batch_of({graphs[i]}, {})));
    }
  }
}

TEST_P(GraphTrunkLaws, WithoutEdgesEachNodeIsAloneWithTheSameLayers) {
  Rng rng(6);
  const MadeGraph graph = made_graph(rng, 6, 0);
  const auto trunk = built_graph_trunk(GetParam());
  at::Tensor x = dense_features(graph);
  for (std::size_t i = 0; i < trunk->parameters().trained().size(); i += 2) {
    x = torch::relu(x.matmul(trunk->parameters().trained()[i].second.t()) +
                    trunk->parameters().trained()[i + 1].second);
  }
  expect_close(trunk->features(batch_of({graph}, all_of(6))), x);
}

TEST_P(GraphTrunkLaws, MeanIsSumOverNodes) {
  Rng rng(7);
  const MadeGraph graph = made_graph(rng, 6, 0.5);
  expect_close(built_graph_trunk(GetParam(), {"readout", "mean"})->features(batch_of({graph}, {})),
               built_graph_trunk(GetParam())->features(batch_of({graph}, {})) / 6);
}

TEST_P(GraphTrunkLaws, EveryParameterLearns) {
  Rng rng(8);
  const MadeGraph graph = made_graph(rng, 10, 0.3);
  const auto trunk = built_graph_trunk(GetParam());
  for (const auto& asked : {std::vector<std::int32_t>{3}, std::vector<std::int32_t>{}}) {
    trunk->features(batch_of({graph}, asked)).square().sum().backward();
    for (const auto& [name, tensor] : trunk->parameters().trained()) {
      EXPECT_GT(tensor.grad().abs().sum().item<double>(), 0) << name;
    }
  }
}

TEST_P(GraphTrunkLaws, TheBitsAreTheSameEveryTime) {
  Rng rng(9);
  const MadeGraph graph = made_graph(rng, 60, 0.2);
  const auto trunk = built_graph_trunk(GetParam());
  trunk->to({}, tensor::DType::kFloat32);
  const auto gradients = [&] {
    Rng random(1);
    const at::Tensor y = trunk->features(batch_of({graph}, all_of(60)), &random);
    return torch::autograd::grad({y.square().sum()}, trunk->parameters().trained_tensors());
  };
  const auto a = gradients();
  const auto b = gradients();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i], b[i]));
}

TEST_P(GraphTrunkLaws, DropoutFollowsItsGeneratorAlone) {
  Rng made(10);
  const data::Batch batch = batch_of({made_graph(made, 20, 0.2)}, {});
  for (const char* option : {"dropout", "input_dropout"}) {
    const auto trunk = built_graph_trunk(GetParam(), {"dropout", "0", option, "0.5"});
    const auto with = [&](std::uint64_t seed) {
      Rng rng(seed);
      return trunk->features(batch, &rng);
    };
    EXPECT_TRUE(torch::equal(with(1), with(1)));
    EXPECT_FALSE(torch::equal(with(1), with(2)));
    EXPECT_TRUE(torch::equal(trunk->features(batch), trunk->clone()->features(batch)));
  }
}

TEST_P(GraphTrunkLaws, RefusesWhatDoesNotFit) {
  Rng rng(11);
  const MadeGraph graph = made_graph(rng, 4, 0.5);
  const auto trunk = built_graph_trunk(GetParam());
  const auto code = [&](const data::Batch& batch) {
    try {
      trunk->features(batch);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kIo;
  };
  EXPECT_EQ(code(batch_of({}, {})), ErrorCode::kShape);
  EXPECT_EQ(code(batch_of({graph}, {4})), ErrorCode::kShape);
  EXPECT_EQ(code(batch_of({graph}, {-1})), ErrorCode::kShape);
  data::Batch batch = batch_of({graph}, {});
  std::get<std::vector<std::int32_t>>(batch[1].values)[0] = kFeatures;
  EXPECT_EQ(code(batch), ErrorCode::kData);
  batch = batch_of({graph}, {});
  std::get<std::vector<std::int32_t>>(batch[3].values).push_back(0);
  EXPECT_EQ(code(batch), ErrorCode::kShape);
  EXPECT_THROW(built_graph_trunk(GetParam(), {"widths", "[]"}), Error);
  EXPECT_THROW(built_graph_trunk(GetParam(), {"widths", "[2.5]"}), Error);
  const auto table = data::make_source("table");
  EXPECT_THROW(trunk->prepare(*table), Error);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GraphTrunkLaws, testing::Values("gcn", "gin"), [](const auto& one) {
  return std::string(one.param);
});

// The graph as a file, one feature in each of `kFeatures` or none.
data::GraphFile file_of(const MadeGraph& graph) {
  std::string text = std::to_string(graph.nodes) + " " + std::to_string(kFeatures) + " 1 " +
                     std::to_string(graph.edges.size()) + "\n";
  for (const auto& x : graph.x) {
    std::string features;
    int count = 0;
    for (std::size_t f = 0; f < x.size(); ++f) {
      if (x[f] == 0.0F) continue;
      features += " " + std::to_string(f);
      ++count;
    }
    text += "0 0 " + std::to_string(count) + features + "\n";
  }
  for (const auto& [a, b] : graph.edges) text += std::to_string(a) + " " + std::to_string(b) + "\n";
  return data::parse_graph_file(text, "made");
}

data::Batch asked(data::Batch batch, std::vector<std::int32_t> nodes) {
  const std::size_t count = nodes.size();
  batch.push_back({"asked", {count}, std::move(nodes)});
  return batch;
}

TEST_P(GraphTrunkLaws, ANeighbourhoodIsAllANodeNeeds) {
  Rng rng(12);
  for (const double share : {0.05, 0.2}) {
    const data::GraphFile file = file_of(made_graph(rng, 40, share));
    const data::NodeFeatures features{
        file.first_feature, file.features, std::vector<float>(file.features.size(), 0.5F)};
    const auto trunk = built_graph_trunk(GetParam(), {"widths", "[6, 3]"});
    const std::size_t hops = std::string(GetParam()) == "gcn" ? 3 : 2;
    const data::RowList nodes = {7, 31, 0, 7};
    const auto whole = trunk->features(asked(data::whole_graph(file, features), {7, 31, 0, 7}));
    data::Neighbourhood around = data::neighbourhood(file, features, nodes, hops, 1, nullptr);
    expect_close(trunk->features(asked(std::move(around.batch), around.asked)), whole);
    // One edge less far is not enough.
    around = data::neighbourhood(file, features, nodes, hops - 1, 1, nullptr);
    const auto less = trunk->features(asked(std::move(around.batch), around.asked));
    EXPECT_GT((less - whole).abs().max().item<double>(), 1e-6);
    // More neighbours than there are: nothing is drawn.
    const Rng draw(1);
    around = data::neighbourhood(file, features, nodes, hops, 40, &draw);
    expect_close(trunk->features(asked(std::move(around.batch), around.asked)), whole);
  }
}

// Of one convolution before it bends: the mean over draws is what all neighbours give.
TEST(GcnTrunk, DrawnNeighboursAreRightOnAverage) {
  Rng rng(13);
  const data::GraphFile file = file_of(made_graph(rng, 30, 0.5));
  const data::NodeFeatures features{
      file.first_feature, file.features, std::vector<float>(file.features.size(), 1.0F)};
  const auto trunk = built_graph_trunk("gcn", {"widths", "[4]", "spread", "false"});
  // So far up that nothing is cut off at 0.
  torch::NoGradGuard no_grad;
  for (const auto& [name, value] : trunk->parameters().trained()) {
    if (name.ends_with("bias")) value.add_(100);
  }
  const auto whole = trunk->features(asked(data::whole_graph(file, features), {5, 6}));
  at::Tensor sum = torch::zeros_like(whole);
  at::Tensor squares = torch::zeros_like(whole);
  const int rounds = 3000;
  for (int round = 0; round < rounds; ++round) {
    const Rng draw(static_cast<std::uint64_t>(round));
    data::Neighbourhood around =
        data::neighbourhood(file, features, data::RowList{5, 6}, 1, 3, &draw);
    const auto once = trunk->features(asked(std::move(around.batch), around.asked)) - whole;
    sum += once;
    squares += once.square();
  }
  const at::Tensor deviation = (squares / rounds).sqrt() / std::sqrt(static_cast<double>(rounds));
  EXPECT_GT(deviation.max().item<double>(), 0) << "something was drawn";
  EXPECT_LT((sum / rounds).abs().sub(5 * deviation).max().item<double>(), 1e-9);
}

TEST_P(GraphTrunkLaws, APairHasNoOrderAndIsTheProductOfItsNodes) {
  Rng rng(14);
  const data::GraphFile file = file_of(made_graph(rng, 12, 0.3));
  const data::NodeFeatures features{
      file.first_feature, file.features, std::vector<float>(file.features.size(), 1.0F)};
  const auto trunk = built_graph_trunk(GetParam(), {}, true);
  const auto pairs = [&](const std::vector<std::int32_t>& first,
                         const std::vector<std::int32_t>& second) {
    data::Batch batch = asked(data::whole_graph(file, features), first);
    batch.push_back({"asked_other", {second.size()}, second});
    return trunk->features(batch);
  };
  const std::vector<std::int32_t> a = {0, 5, 3};
  const std::vector<std::int32_t> b = {4, 1, 3};
  const auto x = trunk->features(asked(data::whole_graph(file, features), all_of(12)));
  const auto rows = [&](const std::vector<std::int32_t>& nodes) {
    return x.index_select(0, torch::tensor(std::vector<std::int64_t>(nodes.begin(), nodes.end())));
  };
  const auto z = [&](const std::vector<std::int32_t>& nodes) {
    return rows(nodes).matmul(trunk->parameters()("pair.weight").t()) +
           trunk->parameters()("pair.bias");
  };
  expect_close(pairs(a, b), z(a) * z(b));
  EXPECT_TRUE(torch::equal(pairs(a, b), pairs(b, a)));
}

}  // namespace
}  // namespace detente::nn
