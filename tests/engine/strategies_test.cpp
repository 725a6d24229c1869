// SPDX-License-Identifier: Apache-2.0
// Every strategy on a zoo of layers, against one plain backward pass per task.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>

namespace detente::engine {
namespace {

// A trunk: parameters and a function from the batch to features [B, F].
struct Trunk {
  TensorList parameters;
  at::Tensor input;
  std::function<at::Tensor(const at::Tensor&)> forward;
  std::shared_ptr<torch::nn::Module> keep;  // owner of the layers
};

constexpr std::int64_t kBatch = 9;

struct Zoo {
  const char* name;
  Trunk (*make)(torch::Dtype);
  bool segmentable = true;  // completely, without a notice
};

Trunk from_module(torch::nn::Sequential net, const at::Tensor& input) {
  net->to(input.is_floating_point() ? input.scalar_type() : torch::kDouble);
  Trunk trunk;
  trunk.parameters = net->parameters();
  trunk.input = input;
  trunk.keep = net.ptr();
  trunk.forward = [net](const at::Tensor& x) mutable { return net->forward(x).flatten(1); };
  return trunk;
}

at::Tensor batch_of(std::vector<std::int64_t> shape, torch::Dtype dtype) {
  shape.insert(shape.begin(), kBatch);
  return torch::randn(shape, torch::kDouble).to(dtype);
}

namespace nn = torch::nn;

Trunk make_mlp(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Linear(5, 8),
                                    nn::ReLU(nn::ReLUOptions(/*inplace=*/true)),
                                    nn::Linear(nn::LinearOptions(8, 8).bias(false)),
                                    nn::Tanh(),
                                    nn::Linear(8, 6)),
                     batch_of({5}, dtype));
}

Trunk make_wide_rows(torch::Dtype dtype) {  // Linear and LayerNorm on [B, T, D]
  return from_module(nn::Sequential(nn::Linear(5, 8),
                                    nn::GELU(),
                                    nn::LayerNorm(nn::LayerNormOptions({8})),
                                    nn::Linear(nn::LinearOptions(8, 4).bias(false)),
                                    nn::Dropout(0.3)),
                     batch_of({3, 5}, dtype));
}

Trunk make_convnet(torch::Dtype dtype) {
  return from_module(
      nn::Sequential(nn::Conv2d(nn::Conv2dOptions(3, 4, 3).stride(2).padding(1)),
                     nn::GroupNorm(nn::GroupNormOptions(2, 4)),
                     nn::ReLU(),
                     nn::Conv2d(nn::Conv2dOptions(4, 8, 3).groups(2).padding(2).dilation(2)),
                     nn::LeakyReLU(),
                     nn::MaxPool2d(nn::MaxPool2dOptions(2)),
                     // So few positions that the unfolded product is taken.
                     nn::Conv2d(nn::Conv2dOptions(8, 40, 3).padding(1).bias(false)),
                     nn::SiLU(),
                     nn::AdaptiveAvgPool2d(nn::AdaptiveAvgPool2dOptions({1, 1}))),
      batch_of({3, 8, 8}, dtype));
}

Trunk make_conv1d(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Conv1d(nn::Conv1dOptions(3, 4, 3).padding(1)),
                                    nn::Tanh(),
                                    nn::Conv1d(nn::Conv1dOptions(4, 5, 2).stride(2))),
                     batch_of({3, 8}, dtype));
}

Trunk make_conv3d(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Conv3d(nn::Conv3dOptions(2, 3, 2)), nn::Sigmoid()),
                     batch_of({2, 4, 4, 4}, dtype));
}

Trunk make_batch_norm_in_eval(torch::Dtype dtype) {
  nn::Sequential net(nn::Conv2d(nn::Conv2dOptions(3, 4, 3)), nn::BatchNorm2d(4), nn::ReLU());
  net->to(dtype);
  net->train();
  net->forward(batch_of({3, 6, 6}, dtype));  // statistics other than 0 and 1
  Trunk trunk = from_module(net, batch_of({3, 6, 6}, dtype));
  net->eval();
  return trunk;
}

Trunk make_batch_norm(torch::Dtype dtype) {
  return from_module(nn::Sequential(nn::Linear(5, 8), nn::BatchNorm1d(8), nn::Linear(8, 6)),
                     batch_of({5}, dtype));
}

Trunk make_embedding(torch::Dtype dtype) {
  auto table = std::make_shared<nn::EmbeddingImpl>(nn::EmbeddingOptions(40, 6).padding_idx(0));
  nn::Linear top(6, 5);
  table->to(dtype);
  top->to(dtype);
  Trunk trunk;
  trunk.parameters = {table->weight, top->weight, top->bias};
  trunk.input = torch::randint(0, 12, {kBatch, 7}, torch::kLong);
  trunk.forward = [table, top](const at::Tensor& ids) mutable {
    // The table serves twice, as in a siamese encoder.
    const auto u = table->forward(ids).mean(1);
    const auto v = table->forward(ids.flip(1).narrow(1, 0, 3)).sum(1);
    return torch::tanh(top->forward(u) * v.narrow(1, 0, 5));
  };
  return trunk;
}

// The library's own encoder: [T, B, D], so the batch is not the first dimension inside.
Trunk make_transformer(torch::Dtype dtype) {
  nn::TransformerEncoder encoder(nn::TransformerEncoderOptions(
      nn::TransformerEncoderLayer(
          nn::TransformerEncoderLayerOptions(8, 2).dim_feedforward(12).dropout(0.0)),
      2));
  encoder->to(dtype);
  auto position = torch::randn({4, 1, 8}, dtype).requires_grad_();
  Trunk trunk;
  trunk.parameters = encoder->parameters();
  trunk.parameters.push_back(position);
  trunk.input = batch_of({4, 8}, dtype);
  trunk.forward = [encoder, position](const at::Tensor& x) mutable {
    return encoder->forward(x.transpose(0, 1) + position).mean(0);
  };
  return trunk;
}

Trunk make_recurrent(torch::Dtype dtype) {  // one weight, six uses
  nn::Linear in(3, 8);
  nn::Linear hidden(8, 8);
  in->to(dtype);
  hidden->to(dtype);
  Trunk trunk;
  trunk.parameters = {in->weight, in->bias, hidden->weight, hidden->bias};
  trunk.input = batch_of({6, 3}, dtype);
  trunk.forward = [in, hidden](const at::Tensor& x) mutable {
    at::Tensor h = torch::zeros({x.size(0), 8}, x.options());
    for (std::int64_t t = 0; t < x.size(1); ++t) {
      h = torch::tanh(in->forward(x.select(1, t)) + hidden->forward(h));
    }
    return h;
  };
  return trunk;
}

Trunk make_rms_norm(torch::Dtype dtype) {
  auto weight = torch::randn({8, 5}, dtype).requires_grad_();
  auto plain = torch::randn({8, 8}, dtype).requires_grad_();  // x W, not x Wᵀ
  auto gain = torch::randn({8}, dtype).requires_grad_();
  auto shift = torch::randn({1, 8}, dtype).requires_grad_();
  Trunk trunk;
  trunk.parameters = {weight, plain, gain, shift};
  trunk.input = batch_of({5}, dtype);
  trunk.forward = [=](const at::Tensor& x) {
    const auto h = x.matmul(weight.t());
    const auto normed = h * (h.square().mean(1, true) + 1e-3).rsqrt() * gain;
    return shift + normed.matmul(plain);
  };
  return trunk;
}

Trunk make_lstm(torch::Dtype dtype) {
  nn::LSTM lstm(nn::LSTMOptions(3, 4).batch_first(true));
  nn::Linear top(4, 40);
  lstm->to(dtype);
  top->to(dtype);
  Trunk trunk;
  trunk.parameters = lstm->parameters();
  for (const auto& parameter : top->parameters()) trunk.parameters.push_back(parameter);
  trunk.input = batch_of({5, 3}, dtype);
  trunk.forward = [lstm, top](const at::Tensor& x) mutable {
    return torch::tanh(top->forward(std::get<0>(lstm->forward(x)).select(1, 4)));
  };
  return trunk;
}

const std::vector<Zoo>& zoo() {
  static const std::vector<Zoo> all = {{"mlp", make_mlp},
                                       {"wide_rows", make_wide_rows},
                                       {"convnet", make_convnet},
                                       {"conv1d", make_conv1d},
                                       {"conv3d", make_conv3d},
                                       {"batch_norm_in_eval", make_batch_norm_in_eval},
                                       {"batch_norm", make_batch_norm, false},
                                       {"embedding", make_embedding},
                                       {"transformer", make_transformer},
                                       {"recurrent", make_recurrent},
                                       {"rms_norm", make_rms_norm},
                                       {"lstm", make_lstm, false}};
  return all;
}

enum class Cut { kSlices, kSplit, kGivenRows, kSingleInput };

struct Setting {
  Zoo zoo;
  Cut cut;
  torch::Dtype dtype;
};

void PrintTo(const Setting& setting, std::ostream* out) {
  static const char* names[] = {"slices", "split", "given_rows", "single_input"};
  *out << setting.zoo.name << "_" << names[static_cast<int>(setting.cut)]
       << (setting.dtype == torch::kDouble ? "_double" : "_float");
}

// Three tasks of unequal size on one trunk, their heads, and the losses.
struct Tasks {
  Trunk trunk;
  std::vector<TensorList> heads;
  std::vector<std::string> names = {"a", "b", "c"};
  std::vector<std::int64_t> rows;  // task of each example
  Cut cut;

  Tasks(const Setting& setting) : cut(setting.cut) {
    torch::manual_seed(5);
    trunk = setting.zoo.make(setting.dtype);
    rows = cut == Cut::kGivenRows ? std::vector<std::int64_t>{0, 2, 1, 1, 2, -1, 0, 1, 1}
                                  : std::vector<std::int64_t>{0, 0, 1, 1, 1, 1, 2, 2, 2};
    torch::manual_seed(6);
    const auto width = trunk.forward(trunk.input).size(1);
    for (std::size_t k = 0; k < 3; ++k) {
      heads.push_back({torch::randn({width}, setting.dtype).requires_grad_(),
                       torch::randn({}, setting.dtype).requires_grad_()});
    }
  }

  TensorList losses() {
    torch::manual_seed(7);  // the same dropout whenever the losses are made
    const at::Tensor z = trunk.forward(trunk.input);
    TensorList parts;
    if (cut == Cut::kSplit) {
      parts = z.split_with_sizes({2, 4, 3});
    } else if (cut == Cut::kSlices) {
      parts = {z.narrow(0, 0, 2), z.slice(0, 2, 6), z.slice(0, 6)};
    } else if (cut == Cut::kGivenRows) {
      for (std::int64_t k = 0; k < 3; ++k) {
        const auto tasks = torch::tensor(rows);
        parts.push_back(z.index_select(0, (tasks == k).nonzero().view(-1)));
      }
    } else {
      parts = {z, z, z};
    }
    TensorList result;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto y = parts[k].matmul(heads[k][0]) + heads[k][1];
      result.push_back((y - (static_cast<double>(k) - 1.0)).square().mean());
    }
    return result;
  }
  TensorList all() const {
    TensorList result = trunk.parameters;
    for (const auto& head : heads) result.insert(result.end(), head.begin(), head.end());
    return result;
  }
  TensorList gradients() const {
    TensorList result;
    for (const auto& parameter : all()) {
      result.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
    }
    return result;
  }
};

struct Outcome {
  StepReport report;
  TensorList gradients;
};

Outcome run(Tasks& tasks,
            Strategy strategy,
            const std::string& method = "upgrad",
            MultiTaskOptions::Memory memory = MultiTaskOptions::Memory::kFast) {
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method(method),
                             tasks.names,
                             {.strategy = strategy, .memory = memory, .diagnose_every = 1});
  // A group for every two parameters in turn, so that neighbours may or may not share one.
  std::vector<int> groups;
  for (std::size_t i = 0; i < tasks.trunk.parameters.size(); ++i) {
    groups.push_back(static_cast<int>(i / 2 % 3));
  }
  backward.set_groups({"first", "second", "third"}, groups);
  if (tasks.cut == Cut::kGivenRows) backward.set_rows(tasks.rows);
  const TensorList losses = tasks.losses();
  Rng rng(3);
  Outcome outcome;
  outcome.report = backward(losses, rng);
  outcome.gradients = tasks.gradients();
  return outcome;
}

// Row k: the gradient of loss k by a plain backward pass.
at::Tensor plain_rows(Tasks& tasks) {
  std::vector<at::Tensor> rows;
  for (std::size_t k = 0; k < 3; ++k) {
    tensor::clear_gradients(tasks.all());
    tasks.losses()[k].backward();
    std::vector<at::Tensor> pieces;
    for (const auto& parameter : tasks.trunk.parameters) {
      pieces.push_back(parameter.grad().defined()
                           ? parameter.grad().reshape(-1).to(torch::kDouble)
                           : torch::zeros(parameter.numel(), torch::kDouble));
    }
    rows.push_back(torch::cat(pieces));
  }
  tensor::clear_gradients(tasks.all());
  return torch::stack(rows);
}

void expect_groups_match_plain(const Tasks& tasks,
                               const Outcome& outcome,
                               const at::Tensor& rows,
                               double tolerance) {
  ASSERT_EQ(outcome.report.groups.size(), 3U);
  std::vector<at::Tensor> expected(3, torch::zeros({3, 3}, torch::kDouble));
  std::int64_t offset = 0;
  for (std::size_t p = 0; p < tasks.trunk.parameters.size(); ++p) {
    const at::Tensor part = rows.narrow(1, offset, tasks.trunk.parameters[p].numel());
    offset += part.size(1);
    expected[p / 2 % 3] = expected[p / 2 % 3] + part.mm(part.t());
  }
  for (std::size_t g = 0; g < 3; ++g) {
    for (std::int64_t i = 0; i < 3; ++i) {
      for (std::int64_t j = 0; j < 3; ++j) {
        const double size = (rows[i].norm() * rows[j].norm()).item<double>();
        EXPECT_NEAR(
            outcome.report.groups[g].gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
            expected[g][i][j].item<double>(),
            tolerance * size)
            << outcome.report.groups[g].name;
      }
    }
  }
}

void expect_matches_plain(Tasks& tasks, const Outcome& outcome, torch::Dtype dtype) {
  const double tolerance = dtype == torch::kDouble ? 1e-10 : 1e-5;
  const at::Tensor rows = plain_rows(tasks);
  const at::Tensor gram = rows.mm(rows.t());
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      const auto a = static_cast<std::int64_t>(i);
      const auto b = static_cast<std::int64_t>(j);
      const double size = (rows[a].norm() * rows[b].norm()).item<double>();
      EXPECT_NEAR(outcome.report.gram(i, j), gram[a][b].item<double>(), 4 * tolerance * size);
    }
  }
  expect_groups_match_plain(tasks, outcome, rows, 4 * tolerance);
  // With the weights of the step itself, so that only the gradients are compared.
  const at::Tensor direction = rows.t().mv(torch::tensor(outcome.report.weights, torch::kDouble));
  std::int64_t offset = 0;
  const double size = direction.abs().max().item<double>();
  for (std::size_t p = 0; p < tasks.trunk.parameters.size(); ++p) {
    const std::int64_t n = tasks.trunk.parameters[p].numel();
    const at::Tensor expected = direction.narrow(0, offset, n);
    offset += n;
    const at::Tensor& got = outcome.gradients[p];
    if (!got.defined()) {
      EXPECT_EQ(expected.abs().max().item<double>(), 0.0) << "parameter " << p;
      continue;
    }
    EXPECT_LE((got.reshape(-1).to(torch::kDouble) - expected).abs().max().item<double>(),
              4 * tolerance * size)
        << "parameter " << p << " of shape " << tasks.trunk.parameters[p].sizes();
  }
  // The heads receive the gradients of their own losses.
  std::size_t next = tasks.trunk.parameters.size();
  for (std::size_t k = 0; k < 3; ++k) {
    const TensorList own = torch::autograd::grad({tasks.losses()[k]}, tasks.heads[k]);
    for (const auto& expected : own) {
      EXPECT_TRUE(torch::allclose(outcome.gradients[next++], expected, 1e-4, tolerance));
    }
  }
}

class StrategyZoo : public testing::TestWithParam<Setting> {};

TEST_P(StrategyZoo, SequentialMatchesPlainPasses) {
  Tasks tasks(GetParam());
  const Outcome outcome = run(tasks, Strategy::kSequential);
  EXPECT_EQ(outcome.report.strategy, Strategy::kSequential);
  expect_matches_plain(tasks, outcome, GetParam().dtype);
}

TEST_P(StrategyZoo, AutoMatchesPlainPassesAndTakesSegmentsWhereItCan) {
  Tasks tasks(GetParam());
  const Outcome outcome = run(tasks, Strategy::kAuto);
  if (GetParam().cut != Cut::kSingleInput && GetParam().zoo.segmentable) {
    EXPECT_EQ(outcome.report.strategy, Strategy::kSegmented);
    EXPECT_EQ(outcome.report.notice, "");
  } else if (GetParam().cut == Cut::kSingleInput) {
    EXPECT_NE(outcome.report.strategy, Strategy::kSegmented);
  }
  expect_matches_plain(tasks, outcome, GetParam().dtype);
}

TEST_P(StrategyZoo, GhostMatchesPlainPasses) {
  Tasks tasks(GetParam());
  const Outcome outcome = run(tasks, Strategy::kGhost);
  expect_matches_plain(tasks, outcome, GetParam().dtype);
}

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const Zoo& entry : zoo()) {
    for (const Cut cut : {Cut::kSlices, Cut::kSplit, Cut::kGivenRows, Cut::kSingleInput}) {
      all.push_back({entry, cut, torch::kDouble});
    }
    all.push_back({entry, Cut::kSlices, torch::kFloat});
    all.push_back({entry, Cut::kSingleInput, torch::kFloat});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Layers,
                         StrategyZoo,
                         testing::ValuesIn(settings()),
                         [](const testing::TestParamInfo<Setting>& info) {
                           return testing::PrintToString(info.param);
                         });

TEST_P(StrategyZoo, LowMemoryMatchesPlainPasses) {
  Tasks tasks(GetParam());
  const Outcome outcome = run(tasks, Strategy::kAuto, "upgrad", MultiTaskOptions::Memory::kLow);
  EXPECT_EQ(outcome.report.strategy, Strategy::kLockstep);
  expect_matches_plain(tasks, outcome, GetParam().dtype);
}

Setting mlp_setting(Cut cut) { return {{"mlp", make_mlp}, cut, torch::kDouble}; }

// At the representation the rows are the heads' gradients there, and the shared parameters get the
// pull-back of their combination.
TEST(Features, BalancesAtTheRepresentation) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  const Outcome outcome = run(tasks, Strategy::kFeatures, "mgda");
  EXPECT_EQ(outcome.report.strategy, Strategy::kFeatures);

  torch::manual_seed(7);
  const at::Tensor z = tasks.trunk.forward(tasks.trunk.input);
  const at::Tensor cut = z.detach().requires_grad_();
  std::vector<at::Tensor> rows;
  for (std::size_t k = 0; k < 3; ++k) {
    const auto y = cut.matmul(tasks.heads[k][0]) + tasks.heads[k][1];
    const auto loss = (y - (static_cast<double>(k) - 1.0)).square().mean();
    rows.push_back(torch::autograd::grad({loss}, {cut})[0]);
  }
  at::Tensor combined = torch::zeros_like(cut);
  for (std::size_t i = 0; i < 3; ++i) {
    combined = combined + rows[i] * outcome.report.weights[i];
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(outcome.report.gram(i, j), (rows[i] * rows[j]).sum().item<double>(), 1e-12);
    }
  }
  const TensorList expected = torch::autograd::grad({z}, tasks.trunk.parameters, {combined});
  for (std::size_t p = 0; p < expected.size(); ++p) {
    EXPECT_TRUE(torch::allclose(outcome.gradients[p], expected[p], 1e-9, 1e-12)) << p;
  }
}

TEST(Features, AMethodOfThatKindChoosesItItself) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  EXPECT_EQ(run(tasks, Strategy::kAuto, "mgda_ub").report.strategy, Strategy::kFeatures);
}

TEST(Features, SaysWhenThereIsNoSharedRepresentation) {
  const auto weight = torch::randn({4}, torch::kDouble).requires_grad_();
  MultiTaskBackward backward(
      {weight}, {}, balance::make_method("mgda"), {"a", "b"}, {.strategy = Strategy::kFeatures});
  const TensorList losses = {weight.square().sum(), weight.exp().sum()};
  Rng rng(1);
  try {
    backward(losses, rng);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("representation"));
  }
}

TEST(Features, GradDropSeesTheRepresentationsValues) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method("graddrop"),
                             tasks.names,
                             {.strategy = Strategy::kFeatures});
  torch::manual_seed(7);
  const at::Tensor z = tasks.trunk.forward(tasks.trunk.input);
  Rng rng(1);
  backward.set_features(torch::zeros({3, 3}));
  EXPECT_THROW(backward(tasks.losses(), rng), Error);
  backward.set_features(z);
  const StepReport& report = backward(tasks.losses(), rng);
  EXPECT_EQ(report.strategy, Strategy::kFeatures);
  EXPECT_GT(report.direction_norm, 0);
}

TEST(Segmented, FallsBackWithANoticeOncePerReason) {
  Tasks tasks({{"batch_norm", make_batch_norm}, Cut::kSlices, torch::kDouble});
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method("upgrad"),
                             tasks.names,
                             {.strategy = Strategy::kSegmented});
  Rng rng(3);
  const StepReport first = backward(tasks.losses(), rng);
  EXPECT_FALSE(first.notice.empty());
  const StepReport second = backward(tasks.losses(), rng);
  EXPECT_EQ(second.notice, "");
}

TEST(Segmented, RefusesRowsOfUnknownTasks) {
  Tasks tasks(mlp_setting(Cut::kGivenRows));
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("upgrad"), tasks.names);
  EXPECT_THROW(backward.set_rows(std::vector<std::int64_t>{0, 1, 3}), Error);
}

TEST(Segmented, ReadsTheSameRowsFromTheGraphAsAreGiven) {
  Tasks tasks(mlp_setting(Cut::kSlices));
  const Outcome read = run(tasks, Strategy::kSegmented);
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("upgrad"), tasks.names);
  backward.set_rows(tasks.rows);
  Rng rng(3);
  const StepReport& given = backward(tasks.losses(), rng);
  EXPECT_EQ(given.strategy, Strategy::kSegmented);
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(read.report.gram.data()[i], given.gram.data()[i]);
}

TEST(Segmented, WorksWithAnAbsentTaskAndAFrozenLayer) {
  Tasks tasks(mlp_setting(Cut::kSlices));
  tasks.trunk.parameters[0].set_requires_grad(false);
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method("ew"),
                             tasks.names,
                             {.diagnose_every = 1});
  TensorList losses = tasks.losses();
  losses[1] = at::Tensor();
  Rng rng(3);
  const StepReport& report = backward(losses, rng);
  EXPECT_EQ(report.strategy, Strategy::kSegmented);
  const TensorList got = tasks.gradients();
  EXPECT_FALSE(got[0].defined());
  const TensorList again = tasks.losses();
  const TensorList rest(tasks.trunk.parameters.begin() + 1, tasks.trunk.parameters.end());
  const TensorList expected = torch::autograd::grad({(again[0] + again[2]) / 2}, rest);
  for (std::size_t p = 0; p < rest.size(); ++p) {
    EXPECT_TRUE(torch::allclose(got[p + 1], expected[p], 1e-9, 1e-12)) << p;
  }
}

TEST(Segmented, FreesTheGraph) {
  Tasks tasks(mlp_setting(Cut::kSlices));
  at::Tensor probe;
  {
    MultiTaskBackward backward(
        tasks.trunk.parameters, tasks.heads, balance::make_method("upgrad"), tasks.names);
    TensorList losses = tasks.losses();
    probe = losses[0];
    Rng rng(3);
    backward(losses, rng);
    EXPECT_THROW(losses[0].backward(), c10::Error) << "the graph was kept";
  }
}

TEST(Ghost, TakesEveryLayerItCan) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  EXPECT_EQ(run(tasks, Strategy::kGhost).report.strategy, Strategy::kGhost);
}

// A quarter of the rows is the whole batch here, four times over, so the estimate is exact up to a
// factor that the method does not see.
TEST(Estimate, ReplacesTheExactGramMatrixAndIsMeasuredAtDiagnosedSteps) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  const Outcome exact = run(tasks, Strategy::kSequential, "cagrad");
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method("cagrad"),
                             tasks.names,
                             {.diagnose_every = 2});
  Rng rng(3);
  backward.set_estimate(tasks.losses());
  StepReport report = backward(tasks.losses(), rng);
  EXPECT_FALSE(report.estimated) << "a diagnosed step is exact";
  EXPECT_NEAR(report.estimate_cosine, 1.0, 1e-12);
  backward.set_estimate(tasks.losses());
  report = backward(tasks.losses(), rng);
  EXPECT_TRUE(report.estimated);
  EXPECT_EQ(report.strategy, Strategy::kWeighted);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(report.weights[k], exact.report.weights[k], 1e-12);
  }
  const TensorList got = tasks.gradients();
  for (std::size_t p = 0; p < got.size(); ++p) {
    EXPECT_TRUE(torch::allclose(got[p], exact.gradients[p], 1e-9, 1e-12)) << p;
  }
}

TEST(Estimate, IsNotUsedBelowItsFloor) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(tasks.trunk.parameters,
                             tasks.heads,
                             balance::make_method("mgda"),
                             tasks.names,
                             {.diagnose_every = 2, .estimate_floor = 0.999});
  // Losses whose gradients point elsewhere: an estimate that misleads.
  const auto wrong = [&] {
    TensorList losses = tasks.losses();
    losses[0] = losses[0] * 1e-3;
    losses[2] = losses[2] * -50.0;
    return losses;
  };
  Rng rng(3);
  backward.set_estimate(wrong());
  EXPECT_LT(backward(tasks.losses(), rng).estimate_cosine, 0.999);
  backward.set_estimate(wrong());
  EXPECT_FALSE(backward(tasks.losses(), rng).estimated);
}

TEST(Independent, GivesTheInnerProductsOfTwoOtherBatches) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("sdmgrad"), tasks.names);
  const auto scaled = [&](double factor) {
    TensorList losses = tasks.losses();
    for (auto& loss : losses) loss = loss * factor;
    return losses;
  };
  Rng rng(3);
  backward.set_independent(scaled(1.0), scaled(1.0));
  const StepReport with = backward(tasks.losses(), rng);
  EXPECT_EQ(with.strategy, Strategy::kWeighted) << "one pass is enough";
  MultiTaskBackward alone(
      tasks.trunk.parameters, tasks.heads, balance::make_method("sdmgrad"), tasks.names);
  const StepReport without = alone(tasks.losses(), rng);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(with.weights[k], without.weights[k], 1e-9);
}

TEST(Independent, ABatchThatLacksATaskIsNotUsed) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("sdmgrad"), tasks.names);
  EXPECT_TRUE(backward.wants_independent());
  EXPECT_FALSE(backward.wants_estimate());
  TensorList lacking = tasks.losses();
  lacking[1] = at::Tensor();
  backward.set_independent(tasks.losses(), lacking);
  Rng rng(3);
  const StepReport all = backward(tasks.losses(), rng);
  EXPECT_TRUE(all.diagnosed) << "the step's own batch instead";
  TensorList again = tasks.losses();
  again[1] = at::Tensor();
  backward.set_independent(tasks.losses(), again);
  TensorList lacks = tasks.losses();
  lacks[1] = at::Tensor();
  const StepReport others = backward(lacks, rng);
  EXPECT_FALSE(others.diagnosed) << "the tasks of this step are all there";
}

TEST(Independent, NamesTheTaskWhoseGradientIsNotFinite) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("sdmgrad"), tasks.names);
  TensorList broken = tasks.losses();
  broken[2] = broken[2] * std::numeric_limits<double>::infinity();
  try {
    backward.set_independent(tasks.losses(), broken);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("'" + tasks.names[2] + "'"), std::string::npos)
        << error.what();
  }
}

TEST(AfterStep, TellsFamoTheLossesOfTheSameBatch) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  MultiTaskBackward backward(
      tasks.trunk.parameters, tasks.heads, balance::make_method("famo"), tasks.names);
  Rng rng(3);
  const StepReport first = backward(tasks.losses(), rng);
  TensorList later = tasks.losses();
  later[0] = later[0] * 0.1;  // task 0 learned much, so it needs less weight now
  backward.after_step(later);
  const StepReport second = backward(tasks.losses(), rng);
  EXPECT_LT(second.weights[0] / second.weights[1], first.weights[0] / first.weights[1]);
  later[1] = at::Tensor();
  EXPECT_THROW(backward.after_step(later), Error);
}

// Class J methods write the direction themselves; with nothing dropped it is the sum.
TEST(Coordinates, DirectionIsTheMethodsOwn) {
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  auto method = balance::make_method("trimmed_mean");
  set_field([&](FieldVisitor& v) { method->describe(v); }, "trim", "0", "[test]");
  MultiTaskBackward backward(tasks.trunk.parameters, tasks.heads, std::move(method), tasks.names);
  Rng rng(3);
  const StepReport& report = backward(tasks.losses(), rng);
  EXPECT_EQ(report.strategy, Strategy::kSequential);
  const TensorList got = tasks.gradients();
  const TensorList losses = tasks.losses();
  const TensorList mean =
      torch::autograd::grad({(losses[0] + losses[1] + losses[2]) / 3}, tasks.trunk.parameters);
  for (std::size_t p = 0; p < mean.size(); ++p) {
    EXPECT_TRUE(torch::allclose(got[p], mean[p], 1e-9, 1e-12)) << p;
  }
}

TEST(Scale, MultipliesTheWeightsAsAsked) {
  using Scale = MultiTaskOptions::Scale;
  Tasks tasks(mlp_setting(Cut::kSingleInput));
  const auto report_with = [&](Scale scale) {
    MultiTaskBackward backward(tasks.trunk.parameters,
                               tasks.heads,
                               balance::make_method("nash_mtl"),
                               tasks.names,
                               {.scale = scale});
    Rng rng(3);
    return StepReport(backward(tasks.losses(), rng));
  };
  const auto sum = [](const std::vector<double>& w) { return w[0] + w[1] + w[2]; };
  const StepReport native = report_with(Scale::kNative);
  EXPECT_NEAR(native.direction_norm, std::sqrt(3.0), 1e-9) << "the method's own length";
  const StepReport one = report_with(Scale::kSumToOne);
  EXPECT_NEAR(sum(one.weights), 1.0, 1e-12);
  EXPECT_NEAR(one.weights[0] / one.weights[1], native.weights[0] / native.weights[1], 1e-9);
  EXPECT_NEAR(sum(report_with(Scale::kSumToTasks).weights), 3.0, 1e-12);
  const StepReport mean = report_with(Scale::kMeanNorm);
  double squared = 0;
  for (std::size_t i = 0; i < 9; ++i) squared += mean.gram.data()[i] / 9.0;
  EXPECT_NEAR(mean.direction_norm, std::sqrt(squared), 1e-9 * std::sqrt(squared));
}

std::int64_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return -1;
}

// What `body` needs at its peak beyond what the process had before; -1 where the system does not
// let the peak be reset.
std::int64_t peak_of(const std::function<void()>& body) {
  {
    std::ofstream reset("/proc/self/clear_refs");
    reset << "5";
    if (!reset.flush()) return -1;
  }
  const std::int64_t before = status_bytes("VmRSS:");
  body();
  return status_bytes("VmHWM:") - before;
}

// Eight tasks on four layers of a million weights each: one gradient is 16 MB, eight are 128 MB.
TEST(LowMemory, NeedsFarLessThanAGradientPerTask) {
  constexpr std::int64_t kWidth = 1000;
  constexpr std::int64_t kGradient = 4 * kWidth * kWidth * 4;
  constexpr std::size_t kTasks = 8;
  TensorList weights;
  for (int i = 0; i < 4; ++i) weights.push_back(torch::randn({kWidth, kWidth}).div(30));
  for (auto& weight : weights) weight.requires_grad_();
  const at::Tensor x = torch::randn({2, kWidth});
  std::vector<std::string> names;
  for (std::size_t k = 0; k < kTasks; ++k) names.push_back(std::to_string(k));
  const auto losses = [&] {
    at::Tensor z = x;
    for (const auto& weight : weights) z = torch::tanh(torch::linear(z, weight));
    TensorList result;
    for (std::size_t k = 0; k < kTasks; ++k) {
      result.push_back((z.select(1, static_cast<std::int64_t>(k)) - 1.0).square().mean());
    }
    return result;
  };
  const auto plain = [&] {
    tensor::clear_gradients(weights);
    at::Tensor total = torch::zeros({});
    for (const auto& loss : losses()) total = total + loss;
    total.backward();
    tensor::clear_gradients(weights);
  };
  plain();  // the libraries' own buffers
  const std::int64_t plain_peak = peak_of(plain);
  if (plain_peak < 0) GTEST_SKIP() << "the system does not let the peak be reset";
  const auto peak_with = [&](const MultiTaskOptions& options) {
    return peak_of([&] {
      MultiTaskBackward backward(weights, {}, balance::make_method("mgda"), names, options);
      Rng rng(1);
      backward(losses(), rng);
      tensor::clear_gradients(weights);
    });
  };
  const std::int64_t low = peak_with({.memory = MultiTaskOptions::Memory::kLow});
  // Two gradients are the engine's own; the C library keeps freed blocks, which the process's peak
  // counts again.
  EXPECT_LT(low, plain_peak + 5 * kGradient);
  EXPECT_GT(peak_with({.strategy = Strategy::kSequential}), 7 * kGradient)
      << "the measure is blind";
}

}  // namespace
}  // namespace detente::engine
