// SPDX-License-Identifier: Apache-2.0
// Chains of Linear layers and activations, tasks going through them a few at a time, against one
// plain backward pass per task.
#include <ATen/Parallel.h>
#include <detente/autograd/row_chain.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

namespace detente::engine {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kTasks = 4;

using Activation = std::function<at::Tensor(const at::Tensor&)>;

// Linear, activation, Linear, activation, Linear, activation on rows whose activations do not fit
// into a core's cache; unequal tasks.
struct Case {
  std::string name;
  std::size_t links;  // of the chain that is to be found
  Activation activation = [](const at::Tensor& x) { return torch::relu(x); };
  bool bias = true;
  bool tied = false;   // the last weight is the first one's
  bool below = false;  // the rows come from a layer that is none of the chain's
  int frozen = -1;     // the weight that is not trained
  bool hook = false;   // of the user's, on the middle layer's output
  bool given = false;  // tasks of the rows are given, some rows have none
  bool sums = false;   // the losses are sums of features
  bool split = true;   // the heads take their rows by one split, or by slices
  torch::Dtype dtype = torch::kDouble;
  std::int64_t width = 320;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

struct Model {
  explicit Model(const Case& c) : test(c) {
    torch::manual_seed(11);
    const auto make = [&] {
      nn::Linear layer(nn::LinearOptions(c.width, c.width).bias(c.bias));
      layer->to(c.dtype);
      return layer;
    };
    for (std::size_t i = 0; i < 3; ++i) {
      layers.push_back(make());
      if (static_cast<int>(i) == c.frozen) layers[i]->weight.set_requires_grad(false);
      if (c.tied && i == 2) layers[2] = layers[0];
    }
    for (std::size_t i = 0; i < (c.tied ? 2U : 3U); ++i) {
      for (const auto& parameter : layers[i]->parameters()) {
        if (parameter.requires_grad()) shared.push_back(parameter);
      }
    }
    if (c.below) {
      scale = torch::randn({c.width}, c.dtype).requires_grad_();
      shared.push_back(scale);
    }
    const std::vector<std::int64_t> sizes = {120, 100, 110, 130};
    std::int64_t begin = 0;
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      begins.push_back(begin);
      begin += sizes[k];
      ends.push_back(begin);
      rows.insert(rows.end(), static_cast<std::size_t>(sizes[k]), static_cast<std::int64_t>(k));
      if (c.given) {
        rows.insert(rows.end(), 3, -1);
        begin += 3;
      }
      heads.push_back({torch::randn({c.width}, c.dtype).requires_grad_()});
    }
    input = torch::randn({begin, c.width}, c.dtype);
  }

  TensorList losses() {
    torch::manual_seed(7);  // the same dropout whenever the losses are made
    at::Tensor h = input;
    if (test.below) h = (h * scale).square();
    for (std::size_t i = 0; i < 3; ++i) {
      h = layers[i]->forward(h);
      if (i == 1 && test.hook) h.register_hook([this](const at::Tensor&) { ++calls; });
      h = test.activation(h);
    }
    TensorList parts;
    if (test.split && !test.given) {
      std::vector<std::int64_t> sizes;
      for (std::size_t k = 0; k < heads.size(); ++k) sizes.push_back(ends[k] - begins[k]);
      parts = h.split_with_sizes(sizes);
    } else {
      for (std::size_t k = 0; k < heads.size(); ++k)
        parts.push_back(h.slice(0, begins[k], ends[k]));
    }
    TensorList result;
    for (std::size_t k = 0; k < heads.size(); ++k) {
      if (test.sums) {
        result.push_back(parts[k].sum() + heads[k][0].sum());
        continue;
      }
      const double target = static_cast<double>(k) - 1.0;
      result.push_back((parts[k].matmul(heads[k][0]) - target).square().mean());
    }
    return result;
  }

  TensorList all() const {
    TensorList list = shared;
    for (const auto& head : heads) list.push_back(head[0]);
    return list;
  }

  Case test;
  std::vector<nn::Linear> layers;
  at::Tensor scale, input;
  TensorList shared;
  std::vector<TensorList> heads;
  std::vector<std::int64_t> begins, ends, rows;
  int calls = 0;  // of the hook
};

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

// The chain behind some losses.
struct Found {
  Found(const Model& model, const TensorList& losses) {
    const std::vector<std::int64_t> given =
        model.test.given ? model.rows : std::vector<std::int64_t>();
    graph = autograd::read_graph(losses, model.shared, given);
    for (const auto& use : graph.uses) inputs.push_back(read_layer_input(use, model.shared));
    const std::vector<bool> by_rows(model.shared.size(), true);
    chain = find_row_chain(graph, inputs, by_rows);
  }

  autograd::Graph graph;
  std::vector<autograd::LayerInput> inputs;
  autograd::RowChain chain;
};

std::size_t links_found(Model& model) {
  const TensorList losses = model.losses();
  return Found(model, losses).chain.links.size();
}

void expect_plain_gradients(Model& model) {
  const double tolerance = model.test.dtype == torch::kDouble ? 1e-10 : 1e-5;
  MultiTaskBackward backward(
      model.shared, model.heads, balance::make_method("upgrad"), {"a", "b", "c", "d"});
  if (model.test.given) backward.set_rows(model.rows);
  Rng rng(3);
  const StepReport report = backward(model.losses(), rng);
  EXPECT_EQ(report.strategy, Strategy::kSegmented);
  EXPECT_EQ(report.notice, "");
  EXPECT_EQ(model.calls, model.test.hook ? 1 : 0);
  TensorList got;
  for (const auto& parameter : model.all()) got.push_back(parameter.grad().clone());

  std::vector<at::Tensor> rows;
  TensorList own;
  for (std::size_t k = 0; k < model.heads.size(); ++k) {
    tensor::clear_gradients(model.all());
    model.losses()[k].backward();
    std::vector<at::Tensor> pieces;
    for (const auto& parameter : model.shared) {
      pieces.push_back(parameter.grad().reshape(-1).to(torch::kDouble));
    }
    rows.push_back(torch::cat(pieces));
    own.push_back(model.heads[k][0].grad().clone());
  }
  const at::Tensor matrix = torch::stack(rows);
  const at::Tensor gram = matrix.mm(matrix.t());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < rows.size(); ++j) {
      const double size = (rows[i].norm() * rows[j].norm()).item<double>();
      EXPECT_NEAR(report.gram(i, j),
                  gram[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)].item<double>(),
                  4 * tolerance * size);
    }
  }
  const at::Tensor direction = matrix.t().mv(torch::tensor(report.weights, torch::kDouble));
  std::int64_t offset = 0;
  const double size = direction.abs().max().item<double>();
  for (std::size_t p = 0; p < model.shared.size(); ++p) {
    const at::Tensor expected = direction.narrow(0, offset, model.shared[p].numel());
    offset += model.shared[p].numel();
    EXPECT_LE((got[p].reshape(-1).to(torch::kDouble) - expected).abs().max().item<double>(),
              4 * tolerance * size)
        << "parameter " << p;
  }
  for (std::size_t k = 0; k < own.size(); ++k) {
    EXPECT_TRUE(torch::allclose(got[model.shared.size() + k], own[k], 1e-4, tolerance)) << k;
  }
}

class RowChains : public testing::TestWithParam<Case> {};

TEST_P(RowChains, MatchPlainPasses) {
  for (const int threads : {1, 2}) {
    const ThreadCount count(threads);
    Model model(GetParam());
    EXPECT_EQ(links_found(model), GetParam().links);
    model.calls = 0;
    expect_plain_gradients(model);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto with = [&](const std::string& name, Activation activation) {
    all.push_back({.name = name, .links = 6, .activation = std::move(activation)});
  };
  with("relu", [](const at::Tensor& x) { return torch::relu(x); });
  with("relu_in_place", [](at::Tensor x) { return x.relu_(); });
  with("tanh", [](const at::Tensor& x) { return torch::tanh(x); });
  with("sigmoid", [](const at::Tensor& x) { return torch::sigmoid(x); });
  with("silu", [](const at::Tensor& x) { return torch::silu(x); });
  with("gelu", [](const at::Tensor& x) { return torch::gelu(x); });
  with("gelu_by_tanh", [](const at::Tensor& x) { return torch::gelu(x, "tanh"); });
  with("leaky_relu", [](const at::Tensor& x) { return torch::leaky_relu(x, 0.1); });
  with("elu", [](const at::Tensor& x) { return torch::elu(x, 0.7); });
  with("dropout", [](const at::Tensor& x) { return torch::dropout(x, 0.3, true); });
  all.push_back({.name = "slices", .links = 6, .split = false});
  all.push_back({.name = "float", .links = 6, .dtype = torch::kFloat, .width = 640});
  all.push_back({.name = "without_bias", .links = 6, .bias = false});
  all.push_back({.name = "a_layer_below", .links = 6, .below = true});
  all.push_back({.name = "rows_of_no_task", .links = 6, .given = true});
  all.push_back(
      {.name = "rows_of_no_task_and_a_layer_below", .links = 6, .below = true, .given = true});
  all.push_back({.name = "tied_weights", .links = 6, .tied = true});
  all.push_back({.name = "a_frozen_weight", .links = 6, .frozen = 1});
  all.push_back({.name = "expanded_gradients", .links = 6, .sums = true});
  // A chain does not go past what it does not know, nor past a hook.
  all.push_back({.name = "a_hook", .links = 3, .hook = true});
  all.push_back({.name = "an_unknown_activation",
                 .links = 0,
                 .activation = [](const at::Tensor& x) { return torch::sin(x); }});
  all.push_back({.name = "a_residual_connection",
                 .links = 0,
                 .activation = [](const at::Tensor& x) { return x + torch::relu(x); }});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, RowChains, testing::ValuesIn(cases()), [](const auto& info) {
  return info.param.name;
});

TEST(RowChain, IsNotTakenWhereABatchFitsIntoTheCache) {
  Model model({.name = "small", .links = 0});
  model.input = model.input.narrow(0, 0, 40);
  model.begins = {0, 10, 20, 30};
  model.ends = {10, 20, 30, 40};
  EXPECT_EQ(links_found(model), 0U);
}

TEST(RowChain, LeavesOutTheRowsOfAnAbsentTask) {
  const ThreadCount count(1);
  for (const bool split : {false, true}) {
    Model model({.name = "absent", .links = 6, .below = true, .split = split, .width = 400});
    const auto present = [&] {
      TensorList losses = model.losses();
      losses[1] = at::Tensor();
      return losses;
    };
    Rng rng(3);
    MultiTaskOptions diagnosed;
    diagnosed.diagnose_every = 1;
    MultiTaskBackward exact(
        model.shared, model.heads, balance::make_method("ew"), {"a", "b", "c", "d"}, diagnosed);
    EXPECT_EQ(exact(present(), rng).strategy, Strategy::kSegmented);
    TensorList got;
    for (const auto& parameter : model.shared) got.push_back(parameter.grad().clone());
    const TensorList losses = present();
    EXPECT_EQ(Found(model, {losses[0], losses[2], losses[3]}).chain.links.size(), 6U);
    const TensorList expected =
        torch::autograd::grad({(losses[0] + losses[2] + losses[3]) / 3}, model.shared);
    for (std::size_t p = 0; p < got.size(); ++p) {
      EXPECT_TRUE(torch::allclose(got[p], expected[p], 1e-9, 1e-12)) << p;
    }
  }
}

// Around the chain another way leads to the layer below.
TEST(RowChain, IsNotTakenWhereTheExitHasAnotherSource) {
  Model model({.name = "around", .links = 0, .below = true});
  const auto plain = [&](bool around) {
    const at::Tensor low = model.input * model.scale;
    at::Tensor h = low;
    for (auto& layer : model.layers) h = torch::relu(layer->forward(h));
    if (around) h = h + low;
    TensorList losses;
    for (std::size_t k = 0; k < model.heads.size(); ++k) {
      losses.push_back(
          h.slice(0, model.begins[k], model.ends[k]).matmul(model.heads[k][0]).square().mean());
    }
    return losses;
  };
  for (const bool around : {false, true}) {
    const TensorList losses = plain(around);
    EXPECT_EQ(Found(model, losses).chain.empty(), around);
  }
}

// Other tasks than those that the heads were split for, and a part without a gradient.
TEST(RowChain, TakesPartsThatDoNotFollowTheTasks) {
  for (const auto& activation : {torch::relu, torch::tanh}) {
    Model model({.name = "parts", .links = 6, .activation = activation, .below = true});
    const TensorList losses = model.losses();
    Found found(model, losses);
    ASSERT_EQ(found.chain.entry_rows, (std::vector<std::int64_t>{120, 100, 110, 130}));
    autograd::ExampleTasks& rows = found.graph.examples;
    for (std::size_t r = 0; r < 460; ++r) rows.task_of[r] = r < 200 ? 2 : r < 260 ? 0 : 1;
    for (std::size_t r = 400; r < 460; ++r) rows.task_of[r] = -1;
    rows.find_stretches(4);  // the last has no rows
    const at::Tensor entering = torch::randn({460, model.test.width}, model.test.dtype);
    TensorList parts = entering.split_with_sizes(found.chain.entry_rows);
    parts[1].zero_();
    parts[1] = at::Tensor();
    TensorList blocks;
    for (const auto& parameter : model.shared) {
      blocks.push_back(torch::full({4, parameter.numel()}, 7.0, model.test.dtype));
    }
    const auto rows_of = [&](const autograd::LayerUse& use) {
      const auto to = [&](int p) {
        return autograd::TaskBlock{p < 0 ? at::Tensor() : blocks[static_cast<std::size_t>(p)]};
      };
      return autograd::UseBlocks{to(use.weight), to(use.bias)};
    };
    const at::Tensor leaving =
        pass_row_chain(found.chain, parts, found.graph, found.inputs, rows_of);

    at::Tensor low = (model.input * model.scale).square().detach().requires_grad_();
    at::Tensor h = low;
    for (auto& layer : model.layers) h = activation(layer->forward(h));
    TensorList wanted(model.shared.begin(), model.shared.end() - 1);
    wanted.push_back(low);
    at::Tensor expected_below = torch::zeros_like(low);
    for (std::int64_t k = 0; k < 4; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const at::Tensor own = torch::zeros_like(entering);
      const std::int64_t n = rows.end[i] - rows.begin[i];
      own.narrow(0, rows.begin[i], n).copy_(entering.narrow(0, rows.begin[i], n));
      const TensorList expected = torch::autograd::grad({h}, wanted, {own}, /*retain_graph=*/true);
      for (std::size_t p = 0; p + 1 < wanted.size(); ++p) {
        EXPECT_TRUE(torch::allclose(blocks[p][k], expected[p].reshape(-1), 1e-9, 1e-10))
            << "task " << k << ", parameter " << p;
      }
      expected_below += expected.back();
    }
    EXPECT_TRUE(torch::allclose(leaving, expected_below, 1e-9, 1e-10));
  }
}

TEST(RowChain, FreesTheGraph) {
  const ThreadCount count(1);
  Model model({.name = "relu", .links = 6});
  MultiTaskBackward backward(
      model.shared, model.heads, balance::make_method("upgrad"), {"a", "b", "c", "d"});
  const TensorList losses = model.losses();
  Rng rng(3);
  backward(losses, rng);
  EXPECT_THROW(losses[0].backward(), c10::Error);
}

}  // namespace
}  // namespace detente::engine
