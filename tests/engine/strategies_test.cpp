// SPDX-License-Identifier: Apache-2.0
// Every strategy on a zoo of layers, against one plain backward pass per task.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "zoo.h"

namespace detente::engine {
namespace {

using namespace zoo;  // NOLINT: the tests are about nothing else

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
  for (const Zoo& entry : models()) {
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
// Squares of such gradients leave the range of float32, the gradients do not.
TEST_P(StrategyZoo, GradientsFarFromOneAreBalancedAlike) {
  for (const Strategy strategy : {Strategy::kSequential, Strategy::kGhost, Strategy::kAuto}) {
    for (const char* method : {"mgda", "cagrad"}) {
      Tasks plain(GetParam());
      const Outcome expected = run(plain, strategy, method);
      for (const int exponent : {-80, -40, 40, 80}) {
        SCOPED_TRACE(std::string(method) + " at 2^" + std::to_string(exponent));
        Tasks scaled(GetParam());
        scaled.scale = std::ldexp(1.0, exponent);
        const Outcome found = run(scaled, strategy, method);
        for (std::size_t k = 0; k < 3; ++k) {
          EXPECT_NEAR(found.report.weights[k], expected.report.weights[k], 1e-4);
        }
        double squared = 0;
        double difference = 0;
        for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
          if (!expected.gradients[i].defined()) continue;
          const auto wanted = expected.gradients[i].to(torch::kDouble);
          const auto seen = found.gradients[i].to(torch::kDouble) / scaled.scale;
          squared += wanted.square().sum().item<double>();
          difference += (seen - wanted).square().sum().item<double>();
        }
        EXPECT_LT(difference, 1e-8 * squared);
      }
    }
  }
}

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

// Central differences know nothing of backward passes.
TEST(Direction, IsTheDerivativeOfTheWeightedLoss) {
  for (const Zoo& trunk : models()) {
    if (!trunk.derivative) continue;
    for (const Cut cut : {Cut::kSlices, Cut::kSingleInput}) {
      for (const Strategy strategy : {Strategy::kAuto, Strategy::kGhost}) {
        SCOPED_TRACE(std::string(trunk.name) + " " + name_of(strategy));
        Tasks tasks({trunk, cut, torch::kDouble});
        const StepReport report = run(tasks, strategy, "ew").report;
        torch::manual_seed(9);
        TensorList steps;
        double expected = 0;
        for (const auto& parameter : tasks.trunk.parameters) {
          steps.push_back(torch::randn_like(parameter));
          // The gradient of a padding entry is dropped by definition.
          const bool table = trunk.make == make_embedding || trunk.make == make_sparse_embedding;
          if (table && steps.size() == 1) steps[0][0].zero_();
          expected += (parameter.grad() * steps.back()).sum().item<double>();
        }
        constexpr double kStep = 1e-5;
        const auto loss_at = [&](double factor) {
          const torch::NoGradGuard no_grad;
          for (std::size_t p = 0; p < steps.size(); ++p) {
            tasks.trunk.parameters[p].add_(steps[p], factor);
          }
          double sum = 0;
          const TensorList losses = tasks.losses();
          for (std::size_t k = 0; k < 3; ++k) {
            sum += report.weights[k] * losses[k].item<double>();
          }
          for (std::size_t p = 0; p < steps.size(); ++p) {
            tasks.trunk.parameters[p].add_(steps[p], -factor);
          }
          return sum;
        };
        const double found = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
        EXPECT_NEAR(found, expected, 1e-6 * (1 + std::abs(expected)));
      }
    }
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

// It would be applied twice: when the tasks' gradients arrive and when their sum starts.
TEST(Features, RefusesAHookOnTheRepresentation) {
  const auto weight = torch::randn({4}, torch::kDouble).requires_grad_();
  MultiTaskBackward backward({weight}, {}, balance::make_method("mgda_ub"), {"a", "b"}, {});
  const at::Tensor z = weight * 2;
  z.register_hook([](const at::Tensor& gradient) { return gradient * 0.5; });
  Rng rng(1);
  try {
    backward(TensorList{z.square().sum(), z.exp().sum()}, rng);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("hook"));
  }
  EXPECT_FALSE(weight.grad().defined());
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

// Residual blocks of linear layers and a norm on so many rows that the passes go stretch by stretch
// (more than 16 MB of output gradients), the first weight used once more in the middle.
struct LargeModel {
  TensorList parameters;
  TensorList heads;
  at::Tensor input = torch::randn({2100, 128}, torch::kDouble);
  // Called with the representation after each block.
  std::function<void(std::size_t, const at::Tensor&)> look = [](std::size_t, const at::Tensor&) {};

  explicit LargeModel(bool reuse) : reuse_(reuse) {
    for (std::size_t i = 0; i < 6; ++i) {
      norms_.emplace_back(nn::LayerNormOptions({128}));
      up_.emplace_back(128, 160);
      down_.emplace_back(160, 128);
      norms_[i]->to(torch::kDouble);
      up_[i]->to(torch::kDouble);
      down_[i]->to(torch::kDouble);
      for (const auto& list :
           {norms_[i]->parameters(), up_[i]->parameters(), down_[i]->parameters()}) {
        parameters.insert(parameters.end(), list.begin(), list.end());
      }
    }
    for (int k = 0; k < 3; ++k) {
      heads.push_back(torch::randn({128}, torch::kDouble).requires_grad_());
    }
  }
  TensorList losses() {
    at::Tensor h = input;
    for (std::size_t i = 0; i < 6; ++i) {
      auto& up = reuse_ && i == 3 ? up_[0] : up_[i];
      h = h + down_[i]->forward(torch::tanh(up->forward(norms_[i]->forward(h))));
      look(i, h);
    }
    TensorList result;
    for (int k = 0; k < 3; ++k) {
      result.push_back((h.matmul(heads[static_cast<std::size_t>(k)]) - k).square().mean());
    }
    return result;
  }

 private:
  bool reuse_;
  std::vector<nn::LayerNorm> norms_;
  std::vector<nn::Linear> up_, down_;
};

void compare_with_sequential(LargeModel& model, const MultiTaskOptions& options) {
  Matrix gram;
  TensorList expected;
  for (const bool tried : {false, true}) {
    MultiTaskOptions now = options;
    now.passes = MultiTaskOptions::Passes::kInTurn;
    if (!tried) now = {.strategy = Strategy::kSequential};
    MultiTaskBackward backward(model.parameters,
                               {{model.heads[0]}, {model.heads[1]}, {model.heads[2]}},
                               balance::make_method("cagrad"),
                               {"a", "b", "c"},
                               now);
    Rng rng(3);
    const StepReport& report = backward(model.losses(), rng);
    TensorList all = model.parameters;
    all.insert(all.end(), model.heads.begin(), model.heads.end());
    if (!tried) {
      gram = report.gram;
      for (const auto& parameter : all) {
        expected.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
      }
      continue;
    }
    for (std::size_t i = 0; i < 9; ++i) {
      EXPECT_NEAR(report.gram.data()[i], gram.data()[i], 1e-10 * gram(0, 0));
    }
    for (std::size_t p = 0; p < all.size(); ++p) {
      ASSERT_EQ(all[p].grad().defined(), expected[p].defined()) << p;
      if (!expected[p].defined()) continue;
      EXPECT_LE((all[p].grad() - expected[p]).abs().max().item<double>(),
                1e-10 * expected[p].abs().max().item<double>())
          << "parameter " << p;
    }
  }
}

TEST(Stretches, GiveTheSameAsWholePasses) {
  torch::manual_seed(8);
  for (const bool reuse : {false, true}) {
    LargeModel model(reuse);
    for (const Strategy strategy : {Strategy::kAuto, Strategy::kGhost}) {
      compare_with_sequential(model, {.strategy = strategy});
    }
    compare_with_sequential(model, {.memory = MultiTaskOptions::Memory::kLow});
  }
}

// A hook at the place where one stretch ends and the next begins would run twice per task.
TEST(Stretches, RunHooksOncePerPass) {
  torch::manual_seed(8);
  LargeModel model(false);
  int calls = 0;
  model.look = [&](std::size_t, const at::Tensor& h) {
    h.register_hook([&](const at::Tensor& gradient) {
      ++calls;
      return gradient * 0.5;
    });
  };
  for (const auto memory : {MultiTaskOptions::Memory::kFast, MultiTaskOptions::Memory::kLow}) {
    compare_with_sequential(model, {.memory = memory});
  }
  // Three passes for sequential, twice, three in stretches, and with little memory the weighted
  // one.
  EXPECT_EQ(calls, 6 * (3 + 3 + 3 + 3 + 1));
}

TEST(SparseTables, HoldTheLookedUpEntriesOfTheDenseGradient) {
  for (const Cut cut : {Cut::kSlices, Cut::kSingleInput}) {
    Tasks tasks({{"embedding", make_embedding}, cut, torch::kDouble});
    const TensorList dense = run(tasks, Strategy::kAuto).gradients;
    MultiTaskBackward backward(tasks.trunk.parameters,
                               tasks.heads,
                               balance::make_method("upgrad"),
                               tasks.names,
                               {.sparse_tables = true});
    Rng rng(3);
    backward(tasks.losses(), rng);
    const at::Tensor table = tasks.trunk.parameters[0].grad();
    ASSERT_TRUE(table.is_sparse());
    EXPECT_TRUE(table.is_coalesced());
    EXPECT_LT(table._nnz(), 40);
    EXPECT_TRUE(torch::equal(table.to_dense(), dense[0]));
    for (std::size_t i = 1; i < tasks.trunk.parameters.size(); ++i) {
      EXPECT_TRUE(torch::equal(tasks.trunk.parameters[i].grad(), dense[i]));
    }
    // The next step starts from it.
    backward(tasks.losses(), rng);
    EXPECT_TRUE(torch::equal(tasks.trunk.parameters[0].grad().to_dense(), dense[0]));
  }
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
  const auto peak_of = [](const std::function<void()>& body) {
    const tensor::AllocationPeak counter;
    body();
    return counter.peak();
  };
  const std::int64_t plain_peak = peak_of(plain);
  EXPECT_GE(plain_peak, kGradient) << "the measure is blind";
  const auto peak_with = [&](const MultiTaskOptions& options) {
    return peak_of([&] {
      MultiTaskBackward backward(weights, {}, balance::make_method("mgda"), names, options);
      Rng rng(1);
      backward(losses(), rng);
      tensor::clear_gradients(weights);
    });
  };
  // One activation per task at the border of two stretches.
  constexpr std::int64_t kActivations = 8 * 2 * kWidth * 4;
  EXPECT_LE(peak_with({.memory = MultiTaskOptions::Memory::kLow}),
            plain_peak + 2 * kGradient + 2 * kActivations);
  EXPECT_GE(peak_with({.strategy = Strategy::kSequential}), 9 * kGradient);
}

}  // namespace
}  // namespace detente::engine
