// SPDX-License-Identifier: Apache-2.0
// Several processes that train one model on parts of every batch, played by threads: the step of
// each is the step of one process on the whole batch.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/group.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <barrier>
#include <exception>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/layer_zoo.h"

// A name space of its own: the folder is compiled in one piece.
namespace detente::engine::processes {
namespace {

using zoo::kBatch;
using zoo::Trunk;
using zoo::Zoo;

// Threads that meet, each with what it brings; the first one does the work for all.
class Meeting {
 public:
  struct Brought {
    std::span<double> numbers = {};
    const at::Tensor* in = nullptr;
    at::Tensor* out = nullptr;
  };

  explicit Meeting(int size) : brought(static_cast<std::size_t>(size)), barrier_(size) {}
  void meet(int rank, const Brought& mine, const std::function<void()>& work) {
    brought[static_cast<std::size_t>(rank)] = mine;
    barrier_.arrive_and_wait();
    if (rank == 0) work();
    barrier_.arrive_and_wait();
  }
  std::vector<Brought> brought;

 private:
  std::barrier<> barrier_;
};

class ThreadGroup : public tensor::Group {
 public:
  ThreadGroup(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(all().size()); }

  void sum(std::span<double> numbers) override {
    meeting_.meet(rank_, {.numbers = numbers}, [&] {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        double total = 0;
        for (const auto& one : all()) {
          ASSERT_EQ(one.numbers.size(), numbers.size());
          total += one.numbers[i];
        }
        for (const auto& one : all()) one.numbers[i] = total;
      }
    });
  }
  void sum(at::Tensor& values) override {
    meeting_.meet(rank_, {.in = &values, .out = &values}, [&] {
      const at::Tensor total = total_of_all();
      for (const auto& one : all()) one.out->copy_(total);
    });
  }
  void scatter_sum(const at::Tensor& rows, at::Tensor& own) override {
    meeting_.meet(rank_, {.in = &rows, .out = &own}, [&] {
      const at::Tensor total = total_of_all();
      const std::int64_t each = total.size(1) / size();
      for (std::size_t r = 0; r < all().size(); ++r) {
        all()[r].out->copy_(total.narrow(1, static_cast<std::int64_t>(r) * each, each));
      }
    });
  }
  void gather(const at::Tensor& own, at::Tensor& everything) override {
    meeting_.meet(rank_, {.in = &own, .out = &everything}, [&] {
      std::vector<at::Tensor> parts;
      for (const auto& one : all()) parts.push_back(*one.in);
      for (const auto& one : all()) one.out->copy_(torch::cat(parts));
    });
  }

 private:
  const std::vector<Meeting::Brought>& all() const { return meeting_.brought; }
  at::Tensor total_of_all() const {
    at::Tensor total = all()[0].in->clone();
    for (std::size_t r = 1; r < all().size(); ++r) total.add_(*all()[r].in);
    return total;
  }

  Meeting& meeting_;
  int rank_;
};

// One model and its three heads; every process makes the same one.
struct Model {
  Trunk trunk;
  std::vector<TensorList> heads;
  std::vector<std::int64_t> tasks;  // of each example; empty: every example is of every task

  Model(const Zoo& zoo, bool single_input) {
    torch::manual_seed(5);
    trunk = zoo.make(torch::kDouble);
    if (!single_input) tasks = {0, 0, 1, 1, 1, 1, 2, 2, 2};
    torch::manual_seed(6);
    const auto width = trunk.forward(trunk.input).size(1);
    for (int k = 0; k < 3; ++k) {
      heads.push_back({torch::randn({width}, torch::kDouble).requires_grad_()});
    }
  }
  TensorList all() const {
    TensorList result = trunk.parameters;
    for (const auto& head : heads) result.insert(result.end(), head.begin(), head.end());
    return result;
  }
  // Means over the examples [begin, end) of the batch; `shares` gets how many each has.
  TensorList losses(std::int64_t begin, std::int64_t end, std::vector<double>& shares) const {
    const at::Tensor z = trunk.forward(trunk.input.narrow(0, begin, end - begin));
    TensorList result(3);
    shares.assign(3, 0.0);
    for (std::size_t k = 0; k < 3; ++k) {
      std::int64_t first = begin;
      std::int64_t last = end;
      if (!tasks.empty()) {
        const auto is_k = [&](std::int64_t i) {
          return tasks[static_cast<std::size_t>(i)] == static_cast<std::int64_t>(k);
        };
        while (first < end && !is_k(first)) ++first;
        last = first;
        while (last < end && is_k(last)) ++last;
      }
      if (first == last) continue;
      shares[k] = static_cast<double>(last - first);
      const auto y = z.narrow(0, first - begin, last - first).matmul(heads[k][0]);
      result[k] = (y - (static_cast<double>(k) - 1.0)).square().mean();
    }
    return result;
  }
};

struct Case {
  std::string name;
  std::string method = "upgrad";
  MultiTaskOptions options = {};
  bool single_input = false;
  bool by_group = false;
  bool accumulate = false;
  bool independent = false;
  int steps = 1;
  int processes = 2;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

struct Outcome {
  StepReport report;
  TensorList gradients;
};

// Where each process's examples begin; uneven, so that some tasks are absent in some.
std::vector<std::int64_t> bounds(int processes) {
  if (processes == 1) return {0, kBatch};
  if (processes == 2) return {0, 5, kBatch};
  return {0, 2, 7, kBatch};
}

Outcome run(const Case& c,
            const Model& model,
            std::int64_t begin,
            std::int64_t end,
            const std::shared_ptr<tensor::Group>& group) {
  MultiTaskBackward backward(model.trunk.parameters,
                             model.heads,
                             balance::make_method(c.method),
                             {"a", "b", "c"},
                             c.options);
  if (group) backward.set_group(group);
  if (c.by_group) {
    std::vector<int> groups;
    for (std::size_t i = 0; i < model.trunk.parameters.size(); ++i) {
      groups.push_back(static_cast<int>(i % 2));
    }
    backward.set_groups({"even", "odd"}, groups);
    backward.balance_by_group({balance::make_method("mgda"), balance::make_method("mgda")});
  }
  Rng rng(3);
  Outcome outcome;
  std::vector<double> shares;
  for (int step = 0; step < c.steps; ++step) {
    if (c.accumulate) {
      // Two batches of each process: its first example, and the others.
      for (const auto& [from, to] : {std::pair{begin, begin + 1}, std::pair{begin + 1, end}}) {
        const TensorList losses = model.losses(from, to, shares);
        backward.accumulate(losses, shares);
      }
      outcome.report = backward.finish(rng);
      continue;
    }
    StepInput input;
    if (c.independent) {
      // Means over processes are means over examples where each has as many.
      const TensorList first = model.losses(begin, begin + 2, shares);
      const TensorList second = model.losses(end - 2, end, shares);
      input.independent = backward.independent_grams(first, second);
    }
    const TensorList losses = model.losses(begin, end, shares);
    input.losses = losses;
    input.shares = shares;
    outcome.report = backward(input, rng);
    if (!outcome.report.skipped) backward.after_step(model.losses(begin, end, shares));
  }
  for (const auto& parameter : model.all()) {
    const at::Tensor& gradient = parameter.grad();
    outcome.gradients.push_back(
        !gradient.defined() ? at::Tensor()
                            : (gradient.is_sparse() ? gradient.to_dense() : gradient).clone());
  }
  return outcome;
}

std::vector<Outcome> run_all(const Case& c, const Zoo& zoo) {
  const auto ends = bounds(c.processes);
  const auto size = static_cast<std::size_t>(c.processes);
  std::vector<Model> models;
  for (std::size_t r = 0; r < size; ++r) models.emplace_back(zoo, c.single_input);
  Meeting meeting(c.processes);
  std::vector<Outcome> outcomes(size);
  std::vector<std::exception_ptr> errors(size);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      try {
        const auto group = std::make_shared<ThreadGroup>(meeting, static_cast<int>(r));
        outcomes[r] = run(c, models[r], ends[r], ends[r + 1], group);
      } catch (...) {
        errors[r] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return outcomes;
}

class Processes : public testing::TestWithParam<Case> {};

TEST_P(Processes, TakeTheStepOfOneOnTheWholeBatch) {
  const Case& c = GetParam();
  for (const Zoo& zoo : {Zoo{"mlp", zoo::make_mlp},
                         Zoo{"embedding", zoo::make_embedding},
                         Zoo{"decoder2d", zoo::make_decoder2d}}) {
    SCOPED_TRACE(zoo.name);
    const Model whole(zoo, c.single_input);
    Outcome expected;
    if (c.independent) {
      // What the processes have together: means of the processes' pairs.
      Case two = c;
      two.processes = 2;
      expected = run_all(two, zoo)[0];
    } else {
      expected = run(c, whole, 0, kBatch, nullptr);
    }
    for (const Outcome& outcome : run_all(c, zoo)) {
      EXPECT_EQ(outcome.report.present, 3U);
      EXPECT_EQ(outcome.report.skipped, expected.report.skipped);
      for (std::size_t k = 0; k < 3; ++k) {
        EXPECT_NEAR(outcome.report.losses[k], expected.report.losses[k], 1e-12);
        EXPECT_NEAR(outcome.report.weights[k], expected.report.weights[k], 1e-7);
      }
      ASSERT_EQ(outcome.report.diagnosed, expected.report.diagnosed);
      for (std::size_t i = 0; i < outcome.report.gram.rows() * 3; ++i) {
        EXPECT_NEAR(outcome.report.gram.data()[i],
                    expected.report.gram.data()[i],
                    1e-10 * (1 + std::abs(expected.report.gram.data()[i])));
      }
      ASSERT_EQ(outcome.report.groups.size(), expected.report.groups.size());
      ASSERT_EQ(outcome.gradients.size(), expected.gradients.size());
      for (std::size_t p = 0; p < expected.gradients.size(); ++p) {
        ASSERT_EQ(outcome.gradients[p].defined(), expected.gradients[p].defined()) << p;
        if (!expected.gradients[p].defined()) continue;
        EXPECT_TRUE(torch::allclose(outcome.gradients[p], expected.gradients[p], 1e-6, 1e-8)) << p;
      }
    }
  }
}

using Scaling = MultiTaskOptions::LossScaling;

INSTANTIATE_TEST_SUITE_P(
    Ways,
    Processes,
    testing::Values(
        Case{.name = "segmented", .options = {.diagnose_every = 1}},
        Case{.name = "three", .options = {.diagnose_every = 1}, .processes = 3},
        Case{.name = "ghost", .options = {.diagnose_every = 1}, .single_input = true},
        Case{.name = "sequential",
             .options = {.strategy = Strategy::kSequential, .clip_norm = 0.1}},
        Case{.name = "weighted", .method = "ew", .options = {.clip_norm = 0.1}},
        Case{.name = "weighted_three", .method = "dwa", .steps = 3, .processes = 3},
        Case{.name = "own_heads",
             .method = "ew",
             .options = {.heads = MultiTaskOptions::HeadGradient::kOwnLoss}},
        Case{.name = "coordinates", .method = "graddrop"},
        Case{.name = "features",
             .method = "mgda",
             .options = {.strategy = Strategy::kFeatures, .diagnose_every = 1},
             .single_input = true},
        Case{
            .name = "by_group", .options = {.diagnose_every = 1}, .by_group = true, .processes = 3},
        Case{.name = "objectives", .method = "cagrad_fast", .single_input = true},
        Case{.name = "accumulated",
             .options = {.clip_norm = 1.0},
             .accumulate = true,
             .processes = 3},
        Case{.name = "after_step", .method = "famo", .steps = 2},
        Case{.name = "scaled", .options = {.loss_scaling = Scaling::kDynamic, .clip_norm = 0.1}},
        Case{
            .name = "independent", .method = "sdmgrad", .single_input = true, .independent = true}),
    [](const auto& info) { return info.param.name; });

// --- Every method, many tasks, sizes that do not divide ---

// A network of 3 · 7 + 7 + 7 · 5 + 5 = 68 shared numbers and K heads on one batch; task `few` is looked at by
// the first example alone.
struct Small {
  TensorList shared;
  std::vector<TensorList> heads;
  at::Tensor input, targets;
  std::int64_t few = -1;

  Small(std::int64_t k, std::int64_t rows) {
    torch::manual_seed(11);
    const auto make = [](at::IntArrayRef sizes) {
      return torch::randn(sizes, torch::kDouble).requires_grad_();
    };
    shared = {make({7, 3}), make({7}), make({5, 7}), make({5})};
    for (std::int64_t i = 0; i < k; ++i) heads.push_back({make({5})});
    input = torch::randn({rows, 3}, torch::kDouble);
    targets = torch::randn({k, rows}, torch::kDouble);
  }
  TensorList losses(std::int64_t begin, std::int64_t end, std::vector<double>& shares) const {
    const at::Tensor x = input.narrow(0, begin, end - begin);
    const at::Tensor hidden = torch::tanh(torch::linear(x, shared[0], shared[1]));
    const at::Tensor z = torch::tanh(torch::linear(hidden, shared[2], shared[3]));
    TensorList result;
    shares.clear();
    for (std::size_t i = 0; i < heads.size(); ++i) {
      const auto k = static_cast<std::int64_t>(i);
      at::Tensor error = z.matmul(heads[i][0]) - targets[k].narrow(0, begin, end - begin);
      if (k == few) error = begin == 0 ? error.narrow(0, 0, 1) : at::Tensor();
      result.push_back(error.defined() ? error.square().mean() : at::Tensor());
      shares.push_back(error.defined() ? static_cast<double>(error.numel()) : 0.0);
    }
    return result;
  }
  TensorList gradients() const {
    TensorList result;
    for (const auto& parameter : shared) result.push_back(parameter.grad());
    for (const auto& head : heads) result.push_back(head[0].grad());
    return result;
  }
};

struct World {
  std::string method;
  int size = 2;
  std::int64_t tasks = 2;
  MultiTaskOptions options = {};
  Exchange exchange = Exchange::kSharded;
  bool one_task_in_one_process = false;
};

// Two steps (some methods begin with the second) of each process, or of this one alone.
std::vector<double> two_steps(const World& w,
                              const Small& model,
                              std::int64_t begin,
                              std::int64_t end,
                              const std::shared_ptr<tensor::Group>& group) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < w.tasks; ++i) names.push_back("t" + std::to_string(i));
  MultiTaskBackward backward(
      model.shared, model.heads, balance::make_method(w.method), names, w.options);
  if (group) backward.set_group(group, w.exchange);
  Rng rng(4);
  std::vector<double> shares;
  std::vector<double> weights;
  for (int step = 0; step < 2; ++step) {
    const TensorList losses = model.losses(begin, end, shares);
    if (group) backward.set_shares(shares);
    const StepReport& report = backward(losses, rng);
    weights = report.weights;
    if (report.gram.rows() > 0) {
      weights.insert(weights.end(), report.gram.data(), report.gram.data() + w.tasks * w.tasks);
    }
    backward.after_step(model.losses(begin, end, shares));
  }
  return weights;
}

void expect_the_same(const World& w) {
  SCOPED_TRACE(w.method + ", " + std::to_string(w.size) + " processes, " + std::to_string(w.tasks) +
               " tasks");
  constexpr std::int64_t kRows = 11;
  Small alone(w.tasks, kRows);
  if (w.one_task_in_one_process) alone.few = w.tasks - 1;
  std::vector<double> expected;
  try {
    expected = two_steps(w, alone, 0, kRows, nullptr);
  } catch (const Error& error) {
    ADD_FAILURE() << error.what();
    return;
  }
  const auto size = static_cast<std::size_t>(w.size);
  std::vector<Small> models(size, Small(w.tasks, kRows));
  for (std::size_t r = 0; r < size; ++r) {
    models[r] = Small(w.tasks, kRows);
    models[r].few = alone.few;
  }
  Meeting meeting(w.size);
  std::vector<std::vector<double>> weights(size);
  std::vector<std::string> said(size);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      const auto group = std::make_shared<ThreadGroup>(meeting, static_cast<int>(r));
      const auto rank = static_cast<std::int64_t>(r);
      try {
        weights[r] =
            two_steps(w, models[r], rank * kRows / w.size, (rank + 1) * kRows / w.size, group);
      } catch (const Error& error) {
        said[r] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const TensorList one = alone.gradients();
  for (std::size_t r = 0; r < size; ++r) {
    ASSERT_EQ(said[r], "");
    EXPECT_EQ(weights[r], weights[0]) << "the processes' bits differ";
    ASSERT_EQ(weights[r].size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(weights[r][i], expected[i], 1e-6 * (1 + std::abs(expected[i]))) << i;
    }
    const TensorList mine = models[r].gradients();
    for (std::size_t p = 0; p < one.size(); ++p) {
      ASSERT_EQ(mine[p].defined(), one[p].defined()) << p;
      if (!one[p].defined()) continue;
      EXPECT_TRUE(torch::allclose(mine[p], one[p], 1e-5, 1e-7)) << p;
      EXPECT_TRUE(torch::equal(mine[p], models[0].gradients()[p])) << p;
    }
  }
}

class EveryMethod : public testing::TestWithParam<std::string> {};

TEST_P(EveryMethod, IsTheSameInAnyNumberOfProcesses) {
  const auto method = balance::make_method(GetParam());
  if (method->at_features() && method->method_class() == balance::MethodClass::kCoordinates) {
    GTEST_SKIP() << "writes the direction at the representation: refused, see below";
  }
  for (const std::int64_t tasks : {2, 4, 8}) {
    for (const int size : {1, 2, 3, 4}) expect_the_same({GetParam(), size, tasks});
  }
}

INSTANTIATE_TEST_SUITE_P(OfTheRegistry,
                         EveryMethod,
                         testing::ValuesIn(balance::method_names()),
                         [](const auto& info) { return info.param; });

TEST(Exchanges, GiveOneDirection) {
  for (const Exchange exchange : {Exchange::kSharded, Exchange::kReplicated}) {
    for (const Strategy strategy : {Strategy::kAuto, Strategy::kSequential}) {
      for (const int size : {2, 3}) {
        expect_the_same({"upgrad",
                         size,
                         4,
                         {.strategy = strategy, .diagnose_every = 1, .clip_norm = 0.1},
                         exchange});
        expect_the_same({"upgrad", size, 4, {.strategy = strategy}, exchange, true});
      }
    }
  }
}

TEST(Exchanges, FeaturesDoWithoutATaskHere) {
  for (const int size : {2, 3}) {
    expect_the_same({"mgda", size, 4, {.strategy = Strategy::kFeatures}, Exchange::kSharded, true});
  }
}

// Solving in each process and averaging is another direction: the law above can fail.
TEST(Exchanges, SolvingApartIsSomethingElse) {
  constexpr std::int64_t kRows = 11;
  const World w{"mgda", 2, 4};
  Small alone(w.tasks, kRows);
  two_steps(w, alone, 0, kRows, nullptr);
  TensorList mean;
  for (int r = 0; r < 2; ++r) {
    Small part(w.tasks, kRows);
    two_steps(w, part, r * kRows / 2, (r + 1) * kRows / 2, nullptr);
    for (std::size_t p = 0; p < 4; ++p) {
      const at::Tensor half = part.shared[p].grad() * 0.5;
      if (r == 0) {
        mean.push_back(half);
      } else {
        mean[p] = mean[p] + half;
      }
    }
  }
  EXPECT_FALSE(torch::allclose(mean[0], alone.shared[0].grad(), 1e-2, 1e-4));
}

// P + K P / W numbers and some buckets, with a pass per task.
TEST(Exchanges, KeepOneGradientAndTheirShares) {
  constexpr std::int64_t kWide = 1500;
  constexpr std::int64_t kTasks = 8;
  constexpr int kSize = 4;
  std::vector<std::int64_t> peaks(kSize);
  Meeting meeting(kSize);
  std::vector<std::thread> threads;
  for (int r = 0; r < kSize; ++r) {
    threads.emplace_back([&, r] {
      tensor::AllocationPeak counter;
      const auto weight = torch::full({kWide, kWide}, 1e-3).requires_grad_();
      const auto x = torch::randn({2, kWide});
      std::vector<std::string> names;
      for (std::int64_t k = 0; k < kTasks; ++k) names.push_back(std::to_string(k));
      MultiTaskBackward backward(
          {weight}, {}, balance::make_method("upgrad"), names, {.strategy = Strategy::kSequential});
      backward.set_group(std::make_shared<ThreadGroup>(meeting, r));
      Rng rng(1);
      const std::int64_t before = counter.now();
      counter.restart();
      const at::Tensor z = torch::tanh(torch::matmul(x, weight.t()));
      TensorList losses;
      for (std::int64_t k = 0; k < kTasks; ++k)
        losses.push_back(z.narrow(1, k, 700).square().mean());
      backward(losses, rng);
      peaks[static_cast<std::size_t>(r)] = counter.peak() - before;
    });
  }
  for (auto& thread : threads) thread.join();
  const double p = kWide * kWide;
  // LibTorch's own gradient of a pass is one more P for as long as it is copied; the direction is P.
  const double allowed = 4 * (2 * p + kTasks * p / kSize + 4.0 * (1 << 20)) + 1e6;
  for (const auto peak : peaks) EXPECT_LT(static_cast<double>(peak), allowed);
  // All K gradients whole would be 8 P.
  EXPECT_LT(allowed, 4 * (kTasks + 1) * p);
}

TEST(Processes, SayWhenTheyGoDifferentWays) {
  const Zoo zoo{"mlp", zoo::make_mlp};
  Meeting meeting(2);
  std::vector<Model> models;
  for (int r = 0; r < 2; ++r) models.emplace_back(zoo, true);
  std::vector<std::string> said(2);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      try {
        const Case c{.name = "", .method = r == 0 ? "ew" : "upgrad"};
        run(c, models[r], 0, 3, std::make_shared<ThreadGroup>(meeting, static_cast<int>(r)));
      } catch (const Error& error) {
        said[r] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& one : said) EXPECT_THAT(one, testing::HasSubstr("different things"));
}

TEST(Processes, ALossThatIsNotFiniteIsSaidByAll) {
  const Zoo zoo{"mlp", zoo::make_mlp};
  Meeting meeting(2);
  std::vector<Model> models;
  for (int r = 0; r < 2; ++r) models.emplace_back(zoo, true);
  {
    const torch::NoGradGuard no_grad;
    models[1].trunk.input.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  std::vector<ErrorCode> codes(2, ErrorCode::kInternal);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      try {
        run({.name = ""},
            models[r],
            0,
            3,
            std::make_shared<ThreadGroup>(meeting, static_cast<int>(r)));
      } catch (const Error& error) {
        codes[r] = error.code();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const ErrorCode code : codes) EXPECT_EQ(code, ErrorCode::kNumeric);
}

TEST(Processes, RefuseWhatNeedsEverythingInOnePlace) {
  Meeting meeting(2);
  const Model model({"mlp", zoo::make_mlp}, true);
  const auto refused = [&](const char* method, const MultiTaskOptions& options) {
    MultiTaskBackward backward(model.trunk.parameters,
                               model.heads,
                               balance::make_method(method),
                               {"a", "b", "c"},
                               options);
    try {
      backward.set_group(std::make_shared<ThreadGroup>(meeting, 0));
    } catch (const Error& error) {
      return error.code() == ErrorCode::kUnsupported;
    }
    return false;
  };
  EXPECT_TRUE(refused("upgrad", {.memory = MultiTaskOptions::Memory::kLow}));
  EXPECT_TRUE(refused("graddrop", {.strategy = Strategy::kFeatures}));
  EXPECT_FALSE(refused("upgrad", {}));
}

}  // namespace
}  // namespace detente::engine::processes
