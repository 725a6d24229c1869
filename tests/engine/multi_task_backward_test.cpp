// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace detente::engine {
namespace {

// Relative, against K plain backward passes.
double engine_tolerance(torch::Dtype dtype) { return dtype == torch::kDouble ? 1e-10 : 1e-5; }

// A trunk of two layers with one head per task. Three things make it less regular: the first
// layer's weight is used twice, `odd` is used by tasks with an odd number only, and `idle` by none.
struct EngineModel {
  TensorList shared;
  std::vector<TensorList> own;
  std::vector<std::string> names;
  at::Tensor input;
  at::Tensor target;

  EngineModel(std::size_t tasks, torch::Dtype dtype, std::uint64_t seed) {
    auto generator = at::detail::createCPUGenerator(seed);
    const auto random = [&](const std::vector<std::int64_t>& shape) {
      return at::randn(shape, generator, torch::kDouble).mul(0.5).to(dtype);
    };
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{5, 5}, {5}, {7, 5}, {7}, {7}, {3}}) {
      shared.push_back(random(shape).requires_grad_());
    }
    for (std::size_t k = 0; k < tasks; ++k) {
      own.push_back({random(std::vector<std::int64_t>{7}).requires_grad_(),
                     random(std::vector<std::int64_t>{}).requires_grad_()});
      names.push_back("task" + std::to_string(k));
    }
    input = random({6, 5});
    target = random({static_cast<std::int64_t>(tasks), 6});
  }

  at::Tensor loss(std::size_t k, const at::Tensor& features) const {
    auto z = features;
    if (k % 2 == 1) z = z * shared[4];
    const auto y = z.matmul(own[k][0]) + own[k][1];
    return (y - target[static_cast<std::int64_t>(k)]).square().mean();
  }
  at::Tensor features() const {
    auto h = torch::tanh(torch::linear(input, shared[0], shared[1]));
    h = torch::tanh(torch::linear(h, shared[0], shared[1]));
    return torch::tanh(torch::linear(h, shared[2], shared[3]));
  }
  TensorList losses() const {
    const auto z = features();
    TensorList result;
    for (std::size_t k = 0; k < own.size(); ++k) result.push_back(loss(k, z));
    return result;
  }
  TensorList all() const {
    TensorList result = shared;
    for (const auto& list : own) result.insert(result.end(), list.begin(), list.end());
    return result;
  }
  // .grad of every parameter after a plain backward of `loss`, zeros where there is none.
  TensorList plain_gradients(const at::Tensor& loss) const {
    tensor::clear_gradients(all());
    loss.backward();
    TensorList result;
    for (const auto& parameter : all()) {
      result.push_back(parameter.grad().defined() ? parameter.grad().clone()
                                                  : torch::zeros_like(parameter).detach());
    }
    tensor::clear_gradients(all());
    return result;
  }
  TensorList gradients() const {
    TensorList result;
    for (const auto& parameter : all()) result.push_back(parameter.grad());
    return result;
  }
};

std::shared_ptr<balance::Method> engine_method(const std::string& name) {
  return balance::make_method(name);
}

at::Tensor flat(const TensorList& list, std::size_t count) {
  std::vector<at::Tensor> pieces;
  for (std::size_t i = 0; i < count; ++i)
    pieces.push_back(list[i].reshape({-1}).to(torch::kDouble));
  return torch::cat(pieces);
}

void expect_near(const at::Tensor& value,
                 const at::Tensor& expected,
                 double tolerance,
                 const std::string& what) {
  ASSERT_TRUE(value.defined()) << what;
  const double scale = std::max(expected.abs().max().item<double>(), 1e-3);
  EXPECT_LE((value.to(torch::kDouble) - expected.to(torch::kDouble)).abs().max().item<double>(),
            tolerance * scale)
      << what;
}

// Runs the engine and compares everything with one plain pass per task and the method called by
// hand on the double Gram matrix of those.
void expect_engine_matches_plain(const EngineModel& model,
                                 const std::string& method_name,
                                 MultiTaskOptions options,
                                 const std::vector<bool>& present) {
  const double tolerance = engine_tolerance(model.input.scalar_type());
  const std::size_t k = model.names.size();
  std::vector<TensorList> plain(k);
  TensorList losses = model.losses();
  std::vector<at::Tensor> rows;
  std::vector<double> values;
  std::vector<std::size_t> where;
  for (std::size_t i = 0; i < k; ++i) {
    plain[i] = model.plain_gradients(model.losses()[i]);
    if (!present[i]) {
      losses[i] = at::Tensor();
      continue;
    }
    rows.push_back(flat(plain[i], model.shared.size()));
    values.push_back(losses[i].item<double>());
    where.push_back(i);
  }
  const auto jacobian = torch::stack(rows);
  const auto gram = jacobian.mm(jacobian.t()).contiguous();
  auto method = engine_method(method_name);
  Rng rng(7);
  balance::Result result;
  method->solve({.tasks = rows.size(),
                 .gram = {gram.data_ptr<double>(), rows.size(), rows.size()},
                 .losses = values,
                 .rng = &rng},
                result);

  MultiTaskBackward engine(
      model.shared, model.own, engine_method(method_name), model.names, options);
  Rng engine_rng(7);
  const StepReport& report = engine(losses, engine_rng);

  const bool weighted_heads = options.heads == MultiTaskOptions::HeadGradient::kWeighted ||
                              (options.heads == MultiTaskOptions::HeadGradient::kAuto &&
                               method->method_class() == balance::MethodClass::kLoss);
  const auto weights = torch::tensor(result.weights, torch::kDouble);
  const auto expected = weights.unsqueeze(0).mm(jacobian).squeeze(0);
  const auto got = model.gradients();
  std::int64_t offset = 0;
  for (std::size_t j = 0; j < model.shared.size(); ++j) {
    const auto piece = expected.narrow(0, offset, model.shared[j].numel());
    offset += model.shared[j].numel();
    // `odd` may be reached by none of the present tasks, `idle` is never.
    const bool unreached = piece.abs().max().item<double>() == 0.0;
    if (unreached && !got[j].defined()) continue;
    expect_near(got[j].reshape({-1}), piece, tolerance, "shared " + std::to_string(j));
  }
  EXPECT_FALSE(got[5].defined()) << "a parameter that no task uses got a gradient";
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < 2; ++j) {
      const auto& own = got[model.shared.size() + 2 * i + j];
      if (!present[i]) {
        EXPECT_FALSE(own.defined());
        continue;
      }
      const auto place =
          static_cast<std::size_t>(std::find(where.begin(), where.end(), i) - where.begin());
      const double factor = weighted_heads ? result.weights[place] : 1.0;
      expect_near(own,
                  plain[i][model.shared.size() + 2 * i + j] * factor,
                  tolerance,
                  "own parameter of task " + std::to_string(i));
    }
  }
  EXPECT_EQ(report.present, rows.size());
  for (std::size_t i = 0; i < k; ++i) {
    if (!present[i]) {
      EXPECT_TRUE(std::isnan(report.losses[i]));
      EXPECT_EQ(report.weights[i], 0.0);
    }
  }
  for (std::size_t a = 0; a < where.size(); ++a) {
    EXPECT_DOUBLE_EQ(report.losses[where[a]], values[a]);
    EXPECT_NEAR(report.weights[where[a]],
                result.weights[a],
                10 * tolerance * std::max(1.0, std::abs(result.weights[a])));
    if (!report.diagnosed) continue;
    EXPECT_NEAR(report.gradient_norms[where[a]],
                rows[a].norm().item<double>(),
                tolerance * rows[a].norm().item<double>());
    for (std::size_t b = 0; b < where.size(); ++b) {
      const double scale = (rows[a].norm() * rows[b].norm()).item<double>();
      EXPECT_NEAR(
          report.gram(where[a], where[b]), rows[a].dot(rows[b]).item<double>(), tolerance * scale);
      EXPECT_NEAR(report.cosines(where[a], where[b]),
                  rows[a].dot(rows[b]).item<double>() / scale,
                  tolerance);
    }
  }
  if (report.diagnosed) {
    EXPECT_NEAR(report.direction_norm,
                expected.norm().item<double>(),
                10 * tolerance * std::max(1.0, expected.norm().item<double>()));
  }
}

class EngineAgainstPlain
    : public testing::TestWithParam<std::tuple<std::string, std::size_t, torch::Dtype>> {};

TEST_P(EngineAgainstPlain, MatchesOneBackwardPassPerTask) {
  const auto& [method, tasks, dtype] = GetParam();
  const EngineModel model(tasks, dtype, tasks);
  expect_engine_matches_plain(model, method, {}, std::vector<bool>(tasks, true));
}

TEST_P(EngineAgainstPlain, MatchesWhenTasksAreAbsent) {
  const auto& [method, tasks, dtype] = GetParam();
  const EngineModel model(tasks, dtype, 10 + tasks);
  for (std::size_t gone = 0; gone < tasks && tasks > 1; ++gone) {
    std::vector<bool> present(tasks, true);
    present[gone] = false;
    expect_engine_matches_plain(model, method, {}, present);
  }
}

TEST_P(EngineAgainstPlain, MatchesWithDiagnosisAndEitherHeadGradient) {
  const auto& [method, tasks, dtype] = GetParam();
  const EngineModel model(tasks, dtype, 20 + tasks);
  for (const auto heads :
       {MultiTaskOptions::HeadGradient::kOwnLoss, MultiTaskOptions::HeadGradient::kWeighted}) {
    for (const std::int64_t every : {0, 1}) {
      expect_engine_matches_plain(
          model, method, {.heads = heads, .diagnose_every = every}, std::vector<bool>(tasks, true));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods,
                         EngineAgainstPlain,
                         testing::Combine(testing::Values("ew", "uw", "mgda", "pcgrad", "cagrad"),
                                          testing::Values<std::size_t>(1, 2, 3, 5, 8),
                                          testing::Values(torch::kFloat, torch::kDouble)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" +
                                  std::to_string(std::get<1>(info.param)) + "_" +
                                  (std::get<2>(info.param) == torch::kFloat ? "float32"
                                                                            : "float64");
                         });

TEST(MultiTaskBackward, OneTaskEqualsPlainTrainingBitForBit) {
  // (cagrad's native weight of a single task is 1 + c.)
  for (const std::string name : {"ew", "mgda", "pcgrad"}) {
    for (const auto strategy : {Strategy::kAuto, Strategy::kSequential}) {
      const EngineModel model(1, torch::kFloat, 3);
      const auto plain = model.plain_gradients(model.losses()[0]);
      MultiTaskBackward engine(
          model.shared, model.own, engine_method(name), model.names, {.strategy = strategy});
      Rng rng(1);
      engine(model.losses(), rng);
      const auto got = model.gradients();
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (!got[i].defined()) {
          EXPECT_EQ(plain[i].abs().max().item<double>(), 0.0);
        } else {
          EXPECT_TRUE(torch::equal(got[i], plain[i])) << name << " parameter " << i;
        }
      }
    }
  }
}

TEST(MultiTaskBackward, EqualWeightsEqualThePlainBackwardOfTheMeanLoss) {
  const EngineModel model(4, torch::kDouble, 4);
  const auto losses = model.losses();
  const auto plain = model.plain_gradients((losses[0] + losses[1] + losses[2] + losses[3]) / 4);
  for (const std::int64_t every : {0, 1}) {
    MultiTaskBackward engine(
        model.shared, model.own, engine_method("ew"), model.names, {.diagnose_every = every});
    Rng rng(1);
    const StepReport& report = engine(model.losses(), rng);
    EXPECT_EQ(report.strategy == Strategy::kWeighted, every == 0);
    EXPECT_EQ(report.diagnosed, every == 1);
    const auto got = model.gradients();
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (!got[i].defined()) continue;
      expect_near(got[i], plain[i], 1e-14, "parameter " + std::to_string(i));
    }
  }
}

TEST(MultiTaskBackward, DiagnosesEveryNthStepAndResumesTheCount) {
  const EngineModel model(2, torch::kDouble, 5);
  const MultiTaskOptions options{.diagnose_every = 3};
  MultiTaskBackward engine(model.shared, model.own, engine_method("ew"), model.names, options);
  Rng rng(1);
  std::vector<bool> diagnosed;
  for (int i = 0; i < 4; ++i) diagnosed.push_back(engine(model.losses(), rng).diagnosed);
  EXPECT_THAT(diagnosed, testing::ElementsAre(true, false, false, true));
  MultiTaskBackward resumed(model.shared, model.own, engine_method("ew"), model.names, options);
  resumed.load_state(Json::parse(engine.state().dump()));
  EXPECT_FALSE(resumed(model.losses(), rng).diagnosed);
  EXPECT_FALSE(resumed(model.losses(), rng).diagnosed);
  EXPECT_TRUE(resumed(model.losses(), rng).diagnosed);
  EXPECT_THROW(resumed.load_state(Json{{"steps", "x"}}), Error);
}

TEST(MultiTaskBackward, FlagsAConflictExactlyWhenACosineIsNegative) {
  const auto x = torch::zeros({2}, torch::kDouble).requires_grad_();
  MultiTaskBackward engine({x}, {}, engine_method("ew"), {"a", "b"}, {.diagnose_every = 1});
  Rng rng(1);
  const auto first = torch::tensor({1.0, 0.0}, torch::kDouble);
  for (const double angle : {0.3, 1.5, 1.7, 3.1}) {
    const auto second = torch::tensor({std::cos(angle), std::sin(angle)}, torch::kDouble);
    const TensorList losses = {x.dot(first), x.dot(second)};
    const StepReport& report = engine(losses, rng);
    EXPECT_EQ(report.conflict, std::cos(angle) < 0);
    EXPECT_NEAR(report.cosines(0, 1), std::cos(angle), 1e-15);
    EXPECT_NEAR(report.cosines(1, 1), 1.0, 1e-15);
  }
}

TEST(MultiTaskBackward, CosineOfAZeroGradientIsUndefinedAndNoConflict) {
  const auto x = torch::zeros({2}, torch::kDouble).requires_grad_();
  MultiTaskBackward engine({x}, {}, engine_method("ew"), {"a", "b"}, {.diagnose_every = 1});
  Rng rng(1);
  const TensorList losses = {x.sum(), x.square().sum()};
  const StepReport& report = engine(losses, rng);
  EXPECT_TRUE(std::isnan(report.cosines(0, 1)));
  EXPECT_EQ(report.gram(0, 1), 0.0);
  EXPECT_FALSE(report.conflict);
}

TEST(MultiTaskBackward, ClipsAllGradientsToOneNorm) {
  for (const std::string name : {"ew", "cagrad"}) {
    const EngineModel model(3, torch::kDouble, 6);
    Rng rng(1);
    MultiTaskBackward plain(model.shared, model.own, engine_method(name), model.names);
    plain(model.losses(), rng);
    TensorList before;
    double squared = 0;
    for (const auto& gradient : model.gradients()) {
      before.push_back(gradient.defined() ? gradient.clone() : gradient);
      if (gradient.defined()) squared += gradient.square().sum().item<double>();
    }
    const double norm = std::sqrt(squared);
    for (const double share : {0.5, 2.0}) {
      MultiTaskBackward clipped(
          model.shared, model.own, engine_method(name), model.names, {.clip_norm = share * norm});
      const StepReport& report = clipped(model.losses(), rng);
      EXPECT_NEAR(report.total_norm, norm, 1e-10 * norm);
      EXPECT_NEAR(report.clip_factor, std::min(share, 1.0), 1e-10);
      const auto got = model.gradients();
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (!before[i].defined()) continue;
        expect_near(got[i], before[i] * std::min(share, 1.0), 1e-9, name + std::to_string(i));
      }
    }
  }
}

TEST(MultiTaskBackward, SkipsFrozenParametersAlsoWhenFrozenLater) {
  const EngineModel model(2, torch::kDouble, 7);
  for (const std::string name : {"ew", "cagrad"}) {
    MultiTaskBackward engine(model.shared, model.own, engine_method(name), model.names);
    Rng rng(1);
    engine(model.losses(), rng);
    EXPECT_TRUE(model.shared[0].grad().defined());
    model.shared[0].requires_grad_(false);
    model.own[1][0].requires_grad_(false);
    engine(model.losses(), rng);
    EXPECT_FALSE(model.shared[0].grad().defined());
    EXPECT_FALSE(model.own[1][0].grad().defined());
    EXPECT_TRUE(model.shared[2].grad().defined());
    model.shared[0].requires_grad_(true);
    model.own[1][0].requires_grad_(true);
    engine(model.losses(), rng);
    EXPECT_TRUE(model.shared[0].grad().defined());
  }
}

TEST(MultiTaskBackward, ReplacesOldGradientsInsteadOfAddingToThem) {
  const EngineModel model(2, torch::kDouble, 8);
  for (const std::string name : {"ew", "cagrad"}) {
    MultiTaskBackward engine(model.shared, model.own, engine_method(name), model.names);
    Rng rng(1);
    engine(model.losses(), rng);
    const auto once = flat(model.gradients(), model.shared.size() - 1).clone();
    engine(model.losses(), rng);
    EXPECT_TRUE(torch::equal(flat(model.gradients(), model.shared.size() - 1), once));
  }
}

TEST(MultiTaskBackward, GradientsDoNotShareMemoryWithEachOther) {
  const auto a = torch::ones({3}).requires_grad_();
  const auto b = torch::ones({3}).requires_grad_();
  MultiTaskBackward engine({a, b}, {}, engine_method("ew"), {"t"});
  Rng rng(1);
  // Both arguments of a sum receive one and the same tensor.
  const TensorList losses = {(a + b).square().sum()};
  engine(losses, rng);
  a.mutable_grad().zero_();
  EXPECT_TRUE(torch::equal(b.grad(), torch::full({3}, 4.0F)));
}

TEST(MultiTaskBackward, WorksWithOptimizersThatClearGradients) {
  const EngineModel model(2, torch::kFloat, 9);
  torch::optim::AdamW optimizer(model.all(), torch::optim::AdamWOptions(0.02));
  MultiTaskBackward engine(model.shared, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  const double first = engine(model.losses(), rng).losses[0];
  for (int i = 0; i < 40; ++i) {
    optimizer.zero_grad();
    engine(model.losses(), rng);
    optimizer.step();
  }
  EXPECT_LT(engine(model.losses(), rng).losses[0], 0.5 * first);
}

// Names the task and leaves every gradient as it was, whatever the kind of trouble.
TEST(MultiTaskBackward, AnErrorLeavesGradientsAlone) {
  const EngineModel model(2, torch::kDouble, 11);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::string name : {"ew", "cagrad"}) {
    MultiTaskBackward engine(
        model.shared, model.own, engine_method(name), model.names, {.clip_norm = 1e-3});
    Rng rng(1);
    engine(model.losses(), rng);
    TensorList before;
    for (const auto& gradient : model.gradients()) {
      before.push_back(gradient.defined() ? gradient.clone() : gradient);
    }
    const auto good = model.losses();
    // The square root's slope at 0 is infinite, and 0 times that is NaN: a finite loss with a
    // gradient that is not.
    const auto infinite_slope = (model.shared[1] * 0).abs().sqrt().sum() + good[1];
    struct Case {
      TensorList losses;
      ErrorCode code;
      const char* text;
    };
    const std::vector<Case> cases = {
        {{good[0], good[1] * nan}, ErrorCode::kNumeric, "'task1'"},
        {{good[0] / 0.0, good[1]}, ErrorCode::kNumeric, "'task0'"},
        {{good[0], infinite_slope}, ErrorCode::kNumeric, "not finite"},
        {{good[0]}, ErrorCode::kShape, "expected 2 losses, got 1"},
        {{good[0], good[1].expand({2})}, ErrorCode::kShape, "'task1'"},
        {{good[0], torch::ones({}, torch::kDouble)}, ErrorCode::kInvalidArgument, "'task1'"},
    };
    for (const auto& bad : cases) {
      try {
        engine(bad.losses, rng);
        ADD_FAILURE() << name << ": no error about " << bad.text;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), bad.code) << error.what();
        EXPECT_THAT(error.what(), testing::HasSubstr(bad.text));
        EXPECT_THAT(error.what(), testing::StartsWith("[engine::MultiTaskBackward]"));
      }
      const auto after = model.gradients();
      for (std::size_t i = 0; i < after.size(); ++i) {
        ASSERT_EQ(after[i].defined(), before[i].defined());
        if (!after[i].defined()) continue;
        EXPECT_TRUE(torch::equal(after[i], before[i])) << bad.text;
      }
    }
  }
}

// A node whose backward throws stands for any failure inside the passes.
struct EngineThrowingNode : torch::autograd::Function<EngineThrowingNode> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                               torch::autograd::tensor_list) {
    throw std::runtime_error("thrown in backward");
  }
};

TEST(MultiTaskBackward, AnExceptionInAPassLeavesGradientsAloneAndTheEngineUsable) {
  const EngineModel model(2, torch::kDouble, 12);
  MultiTaskBackward engine(model.shared, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  engine(model.losses(), rng);
  const auto before = flat(model.gradients(), 5).clone();
  auto losses = model.losses();
  losses[1] = losses[1] + EngineThrowingNode::apply(model.shared[0]).sum();
  EXPECT_ANY_THROW(engine(losses, rng));
  EXPECT_TRUE(torch::equal(flat(model.gradients(), 5), before));
  EXPECT_NO_THROW(engine(model.losses(), rng));
  EXPECT_TRUE(torch::equal(flat(model.gradients(), 5), before));
}

TEST(MultiTaskBackward, FreesTheSharedGraph) {
  const EngineModel model(3, torch::kDouble, 13);
  for (const std::string name : {"ew", "cagrad"}) {
    MultiTaskBackward engine(model.shared, model.own, engine_method(name), model.names);
    Rng rng(1);
    const auto losses = model.losses();
    engine(losses, rng);
    for (const auto& loss : losses) EXPECT_THROW(loss.backward(), c10::Error);
  }
}

TEST(MultiTaskBackward, AStepWithoutAnyTaskClearsGradients) {
  const EngineModel model(2, torch::kDouble, 14);
  MultiTaskBackward engine(model.shared, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  engine(model.losses(), rng);
  const TensorList none(2);
  EXPECT_EQ(engine(none, rng).present, 0U);
  for (const auto& gradient : model.gradients()) EXPECT_FALSE(gradient.defined());
}

TEST(MultiTaskBackward, AStatefulMethodKeepsItsPlacesWhenATaskIsAbsent) {
  const EngineModel model(3, torch::kDouble, 15);
  auto method = engine_method("uw");
  MultiTaskBackward engine(model.shared, model.own, method, model.names);
  Rng rng(1);
  auto losses = model.losses();
  losses[1] = at::Tensor();
  engine(losses, rng);
  const StepReport& all = engine(model.losses(), rng);
  EXPECT_EQ(all.present, 3U);
  for (const double weight : all.weights) EXPECT_GT(weight, 0.0);
  losses = model.losses();
  losses[0] = at::Tensor();
  const StepReport& report = engine(losses, rng);
  EXPECT_EQ(report.weights[0], 0.0);
  EXPECT_GT(report.weights[1], 0.0);
  EXPECT_EQ(method->state()["values"].size(), 3U);
}

TEST(MultiTaskBackward, TwoEnginesShareNothing) {
  const EngineModel model(2, torch::kDouble, 16);
  const EngineModel other(4, torch::kFloat, 17);
  MultiTaskBackward lonely(model.shared, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  lonely(model.losses(), rng);
  const auto expected = flat(model.gradients(), 5).clone();
  MultiTaskBackward a(model.shared, model.own, engine_method("cagrad"), model.names);
  MultiTaskBackward b(other.shared, other.own, engine_method("mgda"), other.names);
  for (int i = 0; i < 3; ++i) {
    a(model.losses(), rng);
    b(other.losses(), rng);
    EXPECT_TRUE(torch::equal(flat(model.gradients(), 5), expected));
  }
}

TEST(MultiTaskBackward, AllParametersMayBelongToTasks) {
  const EngineModel model(2, torch::kDouble, 18);
  MultiTaskBackward engine({}, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  const auto plain = model.plain_gradients(model.losses()[1]);
  const StepReport& report = engine(model.losses(), rng);
  EXPECT_EQ(report.direction_norm, 0.0);
  expect_near(model.own[1][0].grad(), plain[model.shared.size() + 2], 1e-14, "head");
}

TEST(MultiTaskBackward, RefusesASetUpThatCannotWork) {
  const EngineModel model(2, torch::kDouble, 19);
  const auto make = [&](const TensorList& shared,
                        const std::vector<TensorList>& own,
                        const char* method,
                        std::vector<std::string> names,
                        const MultiTaskOptions& options = {}) {
    try {
      MultiTaskBackward engine(shared, own, engine_method(method), std::move(names), options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  using testing::HasSubstr;
  EXPECT_THAT(make(model.shared, {}, "ew", {}), HasSubstr("there is no task"));
  EXPECT_THAT(make(model.shared, {{}}, "ew", model.names), HasSubstr("expected 2 lists"));
  EXPECT_THAT(make({model.shared[0], model.shared[0]}, {}, "ew", model.names),
              HasSubstr("listed twice"));
  EXPECT_THAT(make(model.shared, {{model.shared[1]}, {}}, "ew", model.names),
              HasSubstr("listed twice"));
  EXPECT_THAT(make({model.shared[0] * 2}, {}, "ew", model.names), HasSubstr("not a leaf"));
  EXPECT_THAT(make(model.shared, {}, "cagrad", model.names, {.strategy = Strategy::kWeighted}),
              HasSubstr("strategy weighted cannot"));
  EXPECT_THAT(make(model.shared, {}, "ew", model.names, {.clip_norm = -1}), HasSubstr("clip_norm"));
  EXPECT_THAT(make({model.shared[0], torch::ones({2}).requires_grad_()}, {}, "ew", model.names),
              HasSubstr("one dtype"));
}

TEST(MultiTaskBackward, ReportsItsTimes) {
  const EngineModel model(2, torch::kDouble, 20);
  MultiTaskBackward engine(model.shared, model.own, engine_method("cagrad"), model.names);
  Rng rng(1);
  const StepReport& report = engine(model.losses(), rng);
  EXPECT_GT(report.backward_ms, 0.0);
  EXPECT_GT(report.solve_ms, 0.0);
  EXPECT_EQ(engine.shared_size(), 25 + 5 + 35 + 7 + 7 + 3);
}

}  // namespace
}  // namespace detente::engine
