// SPDX-License-Identifier: Apache-2.0
// What a step may be beside one call on one batch: several batches, a direction per group of
// parameters, scaled losses, mixed precision, rows that only the gradients tell.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/autocast.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "zoo.h"

namespace detente::engine {
namespace {

using namespace zoo;  // NOLINT: the tests are about nothing else

MultiTaskBackward make(Tasks& tasks,
                       const std::string& method,
                       const MultiTaskOptions& options = {}) {
  return MultiTaskBackward(
      tasks.trunk.parameters, tasks.heads, balance::make_method(method), tasks.names, options);
}

// Against each parameter's own gradient, but no finer than rounding in the largest one: a bias
// before a batch normalisation has a gradient of rounding errors alone.
void expect_same(const TensorList& got, const TensorList& wanted, double tolerance = 1e-9) {
  ASSERT_EQ(got.size(), wanted.size());
  double largest = 0;
  for (const at::Tensor& gradient : wanted) {
    if (gradient.defined()) largest = std::max(largest, gradient.norm().item<double>());
  }
  for (std::size_t p = 0; p < got.size(); ++p) {
    ASSERT_EQ(got[p].defined(), wanted[p].defined()) << p;
    if (!got[p].defined()) continue;
    const double scale = wanted[p].norm().item<double>() + 1e-3 * largest;
    EXPECT_LT((got[p] - wanted[p]).norm().item<double>(), tolerance * scale) << p;
  }
}

// Mean losses of some rows of the batch; tasks not in `labelled` are absent.
TensorList losses_of_rows(Tasks& tasks,
                          std::int64_t begin,
                          std::int64_t end,
                          const std::vector<bool>& labelled = {true, true, true}) {
  const at::Tensor z = tasks.trunk.forward(tasks.trunk.input.slice(0, begin, end));
  TensorList result;
  for (std::size_t k = 0; k < 3; ++k) {
    const auto y = z.matmul(tasks.heads[k][0]) + tasks.heads[k][1];
    result.push_back(labelled[k] ? (y - (static_cast<double>(k) - 1.0)).square().mean()
                                 : at::Tensor());
  }
  return result;
}

class Accumulate : public testing::TestWithParam<std::tuple<int, const char*>> {
 protected:
  // Without dropout: its masks differ with the batch.
  static inline const std::vector<Zoo> kTrunks = {{"mlp", make_mlp},
                                                  {"convnet", make_convnet},
                                                  {"embedding", make_embedding},
                                                  {"transformer", make_transformer},
                                                  {"recurrent", make_recurrent},
                                                  {"lstm", make_lstm}};
};

TEST_P(Accumulate, BatchesCountedByTheirRowsAreTheStepOnAllRows) {
  const auto [trunk, method] = GetParam();
  Tasks tasks({kTrunks[static_cast<std::size_t>(trunk)], Cut::kSingleInput, torch::kDouble});
  Rng rng(3);
  MultiTaskBackward whole = make(tasks, method);
  const StepReport expected = whole(losses_of_rows(tasks, 0, kBatch), rng);
  const TensorList wanted = tasks.gradients();

  Rng again(3);
  MultiTaskBackward parts = make(tasks, method);
  parts.accumulate(losses_of_rows(tasks, 0, 4), std::vector<double>(3, 4.0));
  expect_same(tasks.gradients(), wanted, 1e-300);  // nothing is written before the end
  parts.accumulate(losses_of_rows(tasks, 4, 6), std::vector<double>(3, 2.0));
  parts.accumulate(losses_of_rows(tasks, 6, kBatch), std::vector<double>(3, 3.0));
  const StepReport report = parts.finish(again);
  expect_same(tasks.gradients(), wanted);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(report.losses[k], expected.losses[k], 1e-12);
    EXPECT_NEAR(report.weights[k], expected.weights[k], 1e-8);
  }
  EXPECT_EQ(parts.steps(), 1);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Accumulate,
                         testing::Combine(testing::Range(0, 6),
                                          testing::Values("upgrad", "cagrad", "uw", "graddrop")));

TEST(Accumulate, ATaskCountsTheBatchesThatHaveIt) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "mgda");
  backward.accumulate(losses_of_rows(tasks, 0, 4, {true, false, false}));
  backward.accumulate(losses_of_rows(tasks, 4, kBatch, {true, true, false}),
                      std::vector<double>{3.0, 5.0, 1.0});
  Rng rng(3);
  const StepReport report = backward.finish(rng);
  const TensorList got = tasks.gradients();
  EXPECT_EQ(report.present, 2u);
  EXPECT_TRUE(std::isnan(report.losses[2]));

  const TensorList first = losses_of_rows(tasks, 0, 4);
  const TensorList second = losses_of_rows(tasks, 4, kBatch);
  MultiTaskBackward reference = make(tasks, "mgda");
  reference(TensorList{(first[0] + 3 * second[0]) / 4, second[1], at::Tensor()}, rng);
  expect_same(got, tasks.gradients());
}

TEST(Accumulate, SegmentedBatchesCountToo) {
  Tasks tasks(Setting{{"convnet", make_convnet}, Cut::kSlices, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "upgrad");
  Rng rng(3);
  backward(tasks.losses(), rng);
  const TensorList wanted = tasks.gradients();
  backward.accumulate(tasks.losses());
  backward.accumulate(tasks.losses());
  EXPECT_EQ(backward.finish(rng).strategy, Strategy::kSegmented);
  expect_same(tasks.gradients(), wanted);
}

TEST(Accumulate, SaysWhatIsWrongAndForgetsTheBatches) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "mgda");
  Rng rng(3);
  EXPECT_THROW(backward.finish(rng), Error);
  backward.accumulate(tasks.losses());
  EXPECT_THROW(backward(tasks.losses(), rng), Error) << "finish() is due";
  EXPECT_THROW(backward.accumulate(tasks.losses(), std::vector<double>{1.0, 0.0, 1.0}), Error);
  EXPECT_THROW(backward.finish(rng), Error) << "nothing is left after an error";
  TensorList broken = tasks.losses();
  broken[1] = broken[1] * std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(backward.accumulate(broken), Error);
  EXPECT_FALSE(tasks.gradients()[0].defined());
  backward(tasks.losses(), rng);  // and the engine works on
  MultiTaskBackward low = make(tasks, "mgda", {.memory = MultiTaskOptions::Memory::kLow});
  EXPECT_THROW(low.accumulate(tasks.losses()), Error);
}

// Per group, the method on that group's own Gram matrix.
TEST(ByGroup, EveryStrategyGivesEachGroupItsOwnDirection) {
  const std::vector<std::tuple<Strategy, Cut, MultiTaskOptions::Memory>> cases = {
      {Strategy::kSequential, Cut::kSingleInput, MultiTaskOptions::Memory::kFast},
      {Strategy::kGhost, Cut::kSingleInput, MultiTaskOptions::Memory::kFast},
      {Strategy::kSegmented, Cut::kSlices, MultiTaskOptions::Memory::kFast},
      {Strategy::kAuto, Cut::kSingleInput, MultiTaskOptions::Memory::kLow}};
  for (const auto& [strategy, cut, memory] : cases) {
    for (const Zoo& trunk : {Zoo{"mlp", make_mlp}, Zoo{"embedding", make_embedding}}) {
      SCOPED_TRACE(std::string(trunk.name) + " " + name_of(strategy));
      Tasks tasks({trunk, cut, torch::kDouble});
      const at::Tensor rows = plain_rows(tasks);
      MultiTaskBackward backward = make(tasks, "mgda", {.strategy = strategy, .memory = memory});
      std::vector<int> group_of;
      for (std::size_t i = 0; i < tasks.trunk.parameters.size(); ++i) {
        group_of.push_back(static_cast<int>(i % 2));
      }
      backward.set_groups({"even", "odd"}, group_of);
      backward.balance_by_group({balance::make_method("mgda"), balance::make_method("mgda")});
      Rng rng(3);
      const StepReport report = backward(tasks.losses(), rng);
      ASSERT_EQ(report.group_weights.size(), 2u);
      for (int g = 0; g < 2; ++g) {
        std::vector<at::Tensor> pieces;
        std::vector<at::Tensor> written;
        std::int64_t begin = 0;
        for (std::size_t i = 0; i < group_of.size(); ++i) {
          const std::int64_t n = tasks.trunk.parameters[i].numel();
          if (group_of[i] == g) {
            pieces.push_back(rows.narrow(1, begin, n));
            written.push_back(tasks.trunk.parameters[i].grad().reshape(-1));
          }
          begin += n;
        }
        const at::Tensor part = torch::cat(pieces, 1);
        const at::Tensor gram = part.matmul(part.t()).contiguous();
        balance::Result expected;
        balance::make_method("mgda")->solve({.tasks = 3, .gram = {gram.data_ptr<double>(), 3, 3}},
                                            expected);
        for (std::size_t k = 0; k < 3; ++k) {
          EXPECT_NEAR(
              report.group_weights[static_cast<std::size_t>(g)][k], expected.weights[k], 1e-9);
        }
        const at::Tensor w = torch::tensor(expected.weights, torch::kDouble);
        EXPECT_TRUE(torch::allclose(torch::cat(written), part.t().mv(w), 1e-8, 1e-10));
      }
    }
  }
}

TEST(ByGroup, OneGroupOfEverythingIsTheOrdinaryStep) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSlices, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "cagrad", {.clip_norm = 0.5});
  Rng rng(3);
  const StepReport plain = backward(tasks.losses(), rng);
  const TensorList wanted = tasks.gradients();
  backward.set_groups({"all"}, std::vector<int>(tasks.trunk.parameters.size(), 0));
  backward.balance_by_group({balance::make_method("cagrad")});
  const StepReport grouped = backward(tasks.losses(), rng);
  expect_same(tasks.gradients(), wanted, 1e-12);
  EXPECT_DOUBLE_EQ(grouped.direction_norm, plain.direction_norm);
  EXPECT_DOUBLE_EQ(grouped.weights[1], plain.weights[1]);
  backward.balance_by_group({});
  EXPECT_TRUE(backward(tasks.losses(), rng).group_weights.empty());
}

// Whatever it is: a task whose weight nearly vanishes in every group keeps learning its head, and
// nothing of another class is asked for.
TEST(ByGroup, TheMethodOfTheConstructorIsNotAsked) {
  TensorList wanted;
  for (const char* method : {"mgda", "ew", "graddrop", "mgda_ub", "sdmgrad", "famo"}) {
    SCOPED_TRACE(method);
    Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
    MultiTaskBackward backward = make(tasks, method);
    backward.set_groups({"all"}, std::vector<int>(tasks.trunk.parameters.size(), 0));
    backward.balance_by_group({balance::make_method("mgda")});
    EXPECT_FALSE(backward.wants_independent());
    Rng rng(3);
    TensorList losses = tasks.losses();
    losses[2] = losses[2] * 100.0;  // so long a gradient that the shortest sum does without it
    const StepReport& report = backward(losses, rng);
    EXPECT_LT(report.weights[2], 0.01);
    backward.after_step(tasks.losses());
    const TensorList own = torch::autograd::grad({tasks.losses()[2] * 100.0}, tasks.heads[2]);
    for (std::size_t j = 0; j < own.size(); ++j) {
      EXPECT_TRUE(torch::allclose(tasks.heads[2][j].grad(), own[j], 1e-10, 1e-12));
    }
    if (wanted.empty()) wanted = tasks.gradients();
    expect_same(tasks.gradients(), wanted, 1e-12);
  }
}

TEST(ByGroup, RefusesMethodsThatKnowNoGroups) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "mgda");
  EXPECT_THROW(backward.balance_by_group({balance::make_method("mgda")}), Error) << "no groups";
  backward.set_groups({"all"}, std::vector<int>(tasks.trunk.parameters.size(), 0));
  for (const char* method : {"uw", "graddrop", "sdmgrad"}) {
    EXPECT_THROW(backward.balance_by_group({balance::make_method(method)}), Error) << method;
  }
}

// cagrad_fast on objectives drawn beforehand is cagrad_fast on the Gram matrix of all tasks.
TEST(Objectives, NeedOneGradientEach) {
  const std::vector<std::pair<Strategy, Cut>> cases = {{Strategy::kSequential, Cut::kSingleInput},
                                                       {Strategy::kGhost, Cut::kSingleInput},
                                                       {Strategy::kSegmented, Cut::kSlices},
                                                       {Strategy::kSegmented, Cut::kGivenRows}};
  for (const auto& [strategy, cut] : cases) {
    for (const char* preset : {"paper", "official_code"}) {
      SCOPED_TRACE(std::string(name_of(strategy)) + " " + preset);
      Tasks tasks(Setting{{"convnet", make_convnet}, cut, torch::kDouble});
      const auto engine = [&](std::int64_t diagnose_every) {
        auto method = balance::make_method("cagrad_fast");
        const Describe fields = [&](FieldVisitor& v) { method->describe(v); };
        set_field(fields, "preset", preset, "[test]");
        set_field(fields, "n", "2", "[test]");
        return MultiTaskBackward(tasks.trunk.parameters,
                                 tasks.heads,
                                 std::move(method),
                                 tasks.names,
                                 {.strategy = strategy, .diagnose_every = diagnose_every});
      };
      Rng rng(3);
      MultiTaskBackward all = engine(1);
      if (cut == Cut::kGivenRows) all.set_rows(tasks.rows);
      const StepReport expected = all(tasks.losses(), rng);
      EXPECT_TRUE(expected.diagnosed);
      const TensorList wanted = tasks.gradients();
      Rng again(3);
      MultiTaskBackward few = engine(0);
      if (cut == Cut::kGivenRows) few.set_rows(tasks.rows);
      const StepReport report = few(tasks.losses(), again);
      EXPECT_FALSE(report.diagnosed) << "the tasks' own Gram matrix is not known";
      EXPECT_EQ(report.strategy, strategy);
      expect_same(tasks.gradients(), wanted);
      EXPECT_NEAR(report.direction_norm, expected.direction_norm, 1e-9);
      for (std::size_t k = 0; k < 3; ++k) {
        EXPECT_NEAR(report.weights[k], expected.weights[k], 1e-9);
      }
    }
  }
}

// A projection estimates the Gram matrix, the direction is made of the gradients themselves.
TEST(Sketch, DirectionIsTheWeightedSumOfExactGradients) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  const at::Tensor rows = plain_rows(tasks);
  MultiTaskBackward backward = make(tasks,
                                    "mgda",
                                    {.loss_scaling = MultiTaskOptions::LossScaling::kDynamic,
                                     .gram_sketch = 2,
                                     .clip_norm = 1e6});
  Rng rng(3);
  const StepReport report = backward(tasks.losses(), rng);
  EXPECT_TRUE(report.estimated);
  EXPECT_FALSE(report.diagnosed);
  const at::Tensor w = torch::tensor(report.weights, torch::kDouble);
  const at::Tensor direction = rows.t().mv(w);
  std::vector<at::Tensor> written;
  for (const auto& parameter : tasks.trunk.parameters) {
    written.push_back(parameter.grad().reshape(-1));
  }
  EXPECT_TRUE(torch::allclose(torch::cat(written), direction, 1e-9, 1e-12));
  EXPECT_NEAR(report.direction_norm, direction.norm().item<double>(), 1e-9);
}

// Projections differ from step to step, the same step has the same one, and with many columns the
// estimate is as good as the matrix.
TEST(Sketch, FollowsTheStepAndGrowsExact) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "mgda", {.gram_sketch = 2});
  MultiTaskBackward again = make(tasks, "mgda", {.gram_sketch = 2});
  Rng rng(3);
  std::vector<double> weights;
  for (int step = 0; step < 40; ++step) {
    const double w = backward(tasks.losses(), rng).weights[0];
    EXPECT_EQ(again(tasks.losses(), rng).weights[0], w);
    weights.push_back(w);
  }
  EXPECT_GT(*std::max_element(weights.begin(), weights.end()),
            *std::min_element(weights.begin(), weights.end()));
  // So many columns that only the law of large numbers is left.
  auto wide = std::make_shared<torch::nn::LinearImpl>(4096, 3);
  wide->to(torch::kDouble);
  const at::Tensor x = torch::randn({600, 4096}, torch::kDouble);
  const auto losses = [&] {
    const at::Tensor z = wide->forward(x);
    return TensorList{z.square().mean(), (z - 1).square().mean(), z.sin().sum()};
  };
  const auto report_with = [&](const MultiTaskOptions& options) {
    MultiTaskBackward engine(
        wide->parameters(), {}, balance::make_method("cagrad"), {"a", "b", "c"}, options);
    return StepReport(engine(losses(), rng));
  };
  const StepReport measured = report_with({.gram_sketch = 2048, .diagnose_every = 1});
  EXPECT_FALSE(measured.estimated) << "a diagnosed step is exact";
  EXPECT_GT(measured.estimate_cosine, 0.999);
  EXPECT_LE(measured.estimate_cosine, 1 + 1e-12);
  const StepReport exact = report_with({.passes = MultiTaskOptions::Passes::kInTurn});
  for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(measured.weights[k], exact.weights[k], 1e-9);
}

TEST(Sketch, IsNotUsedBelowTheFloor) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward =
      make(tasks, "mgda", {.gram_sketch = 1, .diagnose_every = 2, .estimate_floor = 1.0});
  Rng rng(3);
  EXPECT_LT(backward(tasks.losses(), rng).estimate_cosine, 1.0);
  EXPECT_FALSE(backward(tasks.losses(), rng).estimated);
}

TEST(Passes, SideBySideGiveTheSameGradientsAndFreeTheGraph) {
  for (const Zoo& trunk : models()) {
    for (const auto& [strategy, dtype] : {std::pair{Strategy::kSequential, torch::kDouble},
                                          std::pair{Strategy::kGhost, torch::kDouble},
                                          // oneDNN's convolutions have threads of their own mind
                                          std::pair{Strategy::kSequential, torch::kFloat},
                                          std::pair{Strategy::kGhost, torch::kFloat}}) {
      SCOPED_TRACE(std::string(trunk.name) + " " + name_of(strategy));
      Tasks tasks({trunk, Cut::kSingleInput, dtype});
      const int before = at::get_num_threads();
      at::set_num_threads(3);
      const auto step = [&](MultiTaskOptions::Passes passes) {
        MultiTaskBackward backward =
            make(tasks, "upgrad", {.strategy = strategy, .passes = passes});
        Rng rng(3);
        const TensorList losses = tasks.losses();
        backward(losses, rng);
        const TensorList gradients = tasks.gradients();
        EXPECT_THROW(losses[0].backward(), c10::Error) << "the graph was kept";
        return gradients;
      };
      const TensorList in_turn = step(MultiTaskOptions::Passes::kInTurn);
      expect_same(step(MultiTaskOptions::Passes::kSideBySide),
                  in_turn,
                  dtype == torch::kDouble ? 1e-12 : 1e-4);
      at::set_num_threads(before);
    }
  }
}

// As many threads as tasks: each takes one task's convolutions.
TEST(Passes, SegmentedConvolutionsAreTheSameOnAThreadPerTask) {
  const int before = at::get_num_threads();
  for (const auto dtype : {torch::kDouble, torch::kFloat}) {
    Tasks tasks({{"convnet", make_convnet}, Cut::kSlices, dtype});
    const auto step = [&](Strategy strategy, int threads) {
      at::set_num_threads(threads);
      Rng rng(3);
      const StepReport report = make(tasks, "upgrad", {.strategy = strategy})(tasks.losses(), rng);
      EXPECT_EQ(report.strategy, strategy);
      return tasks.gradients();
    };
    const TensorList wanted = step(Strategy::kSequential, 1);
    const int tasks_here = static_cast<int>(tasks.names.size());
    expect_same(
        step(Strategy::kSegmented, tasks_here), wanted, dtype == torch::kDouble ? 1e-12 : 1e-4);
  }
  at::set_num_threads(before);
}

// Threads on which a hook of the user's in the graph is called.
std::size_t threads_of_hooks(MultiTaskOptions::Passes passes) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const at::Tensor weight = torch::ones({3}, torch::kDouble).requires_grad_();
  MultiTaskBackward backward(
      {weight}, {}, balance::make_method("mgda"), {"a", "b"}, {.passes = passes});
  const at::Tensor y = weight * 2.0;
  std::mutex mutex;
  std::set<std::thread::id> threads;
  y.register_hook([&](const at::Tensor& gradient) -> at::Tensor {
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
    return gradient;
  });
  Rng rng(1);
  backward(TensorList{y.sum(), (2 * y).square().sum()}, rng);
  at::set_num_threads(before);
  return threads.size();
}

TEST(Passes, AreInTurnOfThemselvesWhereTheUserHasHooks) {
  EXPECT_EQ(threads_of_hooks(MultiTaskOptions::Passes::kAuto), 1u);
  EXPECT_EQ(threads_of_hooks(MultiTaskOptions::Passes::kSideBySide), 2u);
}

TEST(Passes, AnErrorInOneOfThemComesOutAndWritesNothing) {
  const at::Tensor weight = torch::ones({3}, torch::kDouble).requires_grad_();
  weight.mutable_grad() = torch::full({3}, 7.0, torch::kDouble);
  MultiTaskBackward backward({weight},
                             {},
                             balance::make_method("mgda"),
                             {"a", "b"},
                             {.passes = MultiTaskOptions::Passes::kSideBySide});
  const at::Tensor y = weight * 2.0;
  y.register_hook([](const at::Tensor& gradient) -> at::Tensor {
    if (gradient.sum().item<double>() > 3.5) throw std::runtime_error("from a hook");
    return gradient;
  });
  Rng rng(1);
  EXPECT_ANY_THROW(backward(TensorList{y.sum(), (2 * y).sum()}, rng));
  EXPECT_EQ(weight.grad().sum().item<double>(), 21.0);
}

class LossScaling : public testing::TestWithParam<std::tuple<const char*, Strategy, Cut>> {};

// The scale is a power of two, so nothing changes but the exponent.
TEST_P(LossScaling, ChangesNoGradient) {
  const auto [method, strategy, cut] = GetParam();
  Tasks tasks({{"convnet", make_convnet}, cut, torch::kFloat});
  Rng rng(3);
  MultiTaskBackward plain = make(tasks, method, {.strategy = strategy, .clip_norm = 0.1});
  const StepReport expected = plain(tasks.losses(), rng);
  const TensorList wanted = tasks.gradients();
  MultiTaskBackward scaled = make(tasks,
                                  method,
                                  {.strategy = strategy,
                                   .loss_scaling = MultiTaskOptions::LossScaling::kDynamic,
                                   .clip_norm = 0.1});
  Rng again(3);
  const StepReport report = scaled(tasks.losses(), again);
  EXPECT_EQ(report.loss_scale, 65536.0);
  EXPECT_FALSE(report.skipped);
  EXPECT_EQ(report.strategy, expected.strategy);
  expect_same(tasks.gradients(), wanted, 1e-6);
  EXPECT_NEAR(report.direction_norm, expected.direction_norm, 1e-6 * expected.direction_norm);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(report.weights[k], expected.weights[k], 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    Strategies,
    LossScaling,
    testing::Values(std::tuple("upgrad", Strategy::kSequential, Cut::kSingleInput),
                    std::tuple("upgrad", Strategy::kGhost, Cut::kSingleInput),
                    std::tuple("upgrad", Strategy::kSegmented, Cut::kSlices),
                    std::tuple("uw", Strategy::kAuto, Cut::kSingleInput),
                    std::tuple("graddrop", Strategy::kAuto, Cut::kSingleInput),
                    std::tuple("mgda_ub", Strategy::kAuto, Cut::kSingleInput)));

TEST(LossScaling, SkipsStepsThatOverflowUntilTheScaleFits) {
  for (const char* method : {"mgda", "ew"}) {
    const at::Tensor weight = torch::ones({4}, torch::kFloat).requires_grad_();
    MultiTaskBackward backward({weight},
                               {},
                               balance::make_method(method),
                               {"a", "b"},
                               {.loss_scaling = MultiTaskOptions::LossScaling::kDynamic});
    Rng rng(1);
    const auto losses = [&] { return TensorList{(weight * 1e34F).sum(), (weight * 2e34F).sum()}; };
    weight.mutable_grad() = torch::ones({4});
    int skipped = 0;
    for (int step = 0; step < 20; ++step) {
      const StepReport report = backward(losses(), rng);
      if (!report.skipped) {
        EXPECT_EQ(report.loss_scale, std::exp2(16 - skipped));
        EXPECT_TRUE(torch::isfinite(weight.grad()).all().item<bool>());
        break;
      }
      EXPECT_FALSE(weight.grad().defined()) << "an optimiser would move";
      ++skipped;
    }
    EXPECT_GT(skipped, 0) << method;
    EXPECT_LT(skipped, 20) << method;
    const Json state = backward.state();
    MultiTaskBackward other({weight},
                            {},
                            balance::make_method(method),
                            {"a", "b"},
                            {.loss_scaling = MultiTaskOptions::LossScaling::kDynamic});
    other.load_state(state);
    EXPECT_FALSE(other(losses(), rng).skipped) << "the scale is part of the state";
  }
}

// The loss of task k is a masked mean over all rows: no slice, no index in the graph.
TensorList masked_losses(Tasks& tasks, const std::vector<std::int64_t>& rows) {
  torch::manual_seed(7);
  const at::Tensor z = tasks.trunk.forward(tasks.trunk.input);
  TensorList result;
  for (std::int64_t k = 0; k < 3; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const auto mask = (torch::tensor(rows) == k).to(z.scalar_type());
    const auto y = z.matmul(tasks.heads[i][0]) + tasks.heads[i][1];
    result.push_back((mask * (y - static_cast<double>(k) + 1.0).square()).sum() / mask.sum());
  }
  return result;
}

TEST(FoundRows, AreThoseThatAreGiven) {
  for (const Zoo& trunk : models()) {
    if (!trunk.segmentable) continue;
    SCOPED_TRACE(trunk.name);
    Tasks tasks({trunk, Cut::kGivenRows, torch::kDouble});
    MultiTaskBackward given = make(tasks, "upgrad");
    Rng rng(3);
    given.set_rows(tasks.rows);
    const StepReport expected = given(masked_losses(tasks, tasks.rows), rng);
    const TensorList wanted = tasks.gradients();
    MultiTaskBackward found = make(tasks, "upgrad");
    const StepReport report = found(masked_losses(tasks, tasks.rows), rng);
    EXPECT_EQ(expected.strategy, Strategy::kSegmented);
    EXPECT_EQ(report.strategy, Strategy::kSegmented);
    expect_same(tasks.gradients(), wanted, 1e-12);
    for (std::size_t i = 0; i < 9; ++i) {
      EXPECT_NEAR(report.gram.data()[i], expected.gram.data()[i], 1e-12);
    }
  }
}

TEST(FoundRows, ARowOfTwoTasksMeansAPassPerTask) {
  Tasks tasks(Setting{{"mlp", make_mlp}, Cut::kSingleInput, torch::kDouble});
  MultiTaskBackward backward = make(tasks, "upgrad");
  Rng rng(3);
  for (int step = 0; step < 5; ++step) {  // it is not looked for for ever
    const StepReport report = backward(tasks.losses(), rng);
    EXPECT_NE(report.strategy, Strategy::kSegmented);
    const Outcome expected = run(tasks, Strategy::kSequential);
    backward(tasks.losses(), rng);
    expect_same(tasks.gradients(), expected.gradients);
  }
}

class MixedPrecision : public testing::TestWithParam<std::tuple<int, Cut>> {};

TEST_P(MixedPrecision, GradientsAreThoseOfPlainPassesInTheSameTypes) {
  const auto [index, cut] = GetParam();
  const Zoo& trunk = models()[static_cast<std::size_t>(index)];
  Tasks tasks({trunk, cut, torch::kFloat});
  const auto losses = [&] {
    const tensor::Autocast autocast({}, tensor::LowPrecision::kBFloat16);
    return tasks.losses();
  };
  std::vector<at::Tensor> rows;
  for (std::size_t k = 0; k < 3; ++k) {
    tensor::clear_gradients(tasks.all());
    losses()[k].backward();
    std::vector<at::Tensor> pieces;
    for (const auto& parameter : tasks.trunk.parameters) {
      pieces.push_back(parameter.grad().defined() ? in_full(parameter.grad()).reshape(-1)
                                                  : torch::zeros(parameter.numel()));
    }
    rows.push_back(torch::cat(pieces).to(torch::kDouble));
  }
  const at::Tensor expected = torch::stack(rows);
  const at::Tensor gram = expected.matmul(expected.t());
  for (const Strategy strategy : {Strategy::kAuto, Strategy::kSequential, Strategy::kGhost}) {
    SCOPED_TRACE(name_of(strategy));
    MultiTaskBackward backward = make(tasks, "ew", {.strategy = strategy, .diagnose_every = 1});
    if (cut == Cut::kGivenRows) backward.set_rows(tasks.rows);
    Rng rng(3);
    const StepReport report = backward(losses(), rng);
    for (std::int64_t i = 0; i < 3; ++i) {
      for (std::int64_t j = 0; j < 3; ++j) {
        const double size = std::sqrt(gram[i][i].item<double>() * gram[j][j].item<double>());
        EXPECT_NEAR(report.gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                    gram[i][j].item<double>(),
                    0.02 * size);
      }
    }
    std::vector<at::Tensor> written;
    for (const auto& parameter : tasks.trunk.parameters) {
      ASSERT_EQ(parameter.grad().scalar_type(), torch::kFloat);
      written.push_back(parameter.grad().reshape(-1).to(torch::kDouble));
    }
    const at::Tensor mean = expected.mean(0);
    EXPECT_LT((torch::cat(written) - mean).norm().item<double>(),
              0.02 * mean.norm().item<double>());
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo,
                         MixedPrecision,
                         testing::Combine(testing::Range(0, 12),
                                          testing::Values(Cut::kSlices, Cut::kSingleInput)));

TEST(Autocast, EndsWithItsObject) {
  const at::Tensor x = torch::ones({2, 2});
  {
    const tensor::Autocast outer({}, tensor::LowPrecision::kBFloat16);
    {
      const tensor::Autocast inner({}, tensor::LowPrecision::kBFloat16);
      EXPECT_EQ(x.mm(x).scalar_type(), torch::kBFloat16);
    }
    EXPECT_EQ(x.mm(x).scalar_type(), torch::kBFloat16);
  }
  EXPECT_EQ(x.mm(x).scalar_type(), torch::kFloat);
}

}  // namespace
}  // namespace detente::engine
