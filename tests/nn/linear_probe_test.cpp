// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/table_source.h>
#include <detente/nn/linear_probe.h>
#include <detente/nn/mlp_trunk.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::nn {
namespace {

at::Tensor numbers(Draw& draw, std::int64_t rows, std::int64_t columns) {
  return draw.normal({rows, columns}, 1.0).to(torch::kFloat64);
}

class RidgeTest : public ::testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {};

// Both ways to the same optimum: fewer features than rows, and more.
TEST_P(RidgeTest, IsTheOptimumAndItsHeldOutPredictionsAreThoseOfFitsWithoutTheRow) {
  const auto [rows, width] = GetParam();
  Rng rng(3);
  Draw draw(rng);
  const at::Tensor x = numbers(draw, rows, width) + 2.0;
  const at::Tensor t = x.mm(numbers(draw, width, 2)) + 3.0 * numbers(draw, rows, 2) - 5.0;
  const Ridge ridge = fit_ridge(x, t);
  ASSERT_GT(ridge.strength, 0);
  const at::Tensor residual = x.mm(ridge.weight.t()) + ridge.bias - t;
  const at::Tensor gradient = residual.t().mm(x) + ridge.strength * ridge.weight;
  EXPECT_LT(gradient.abs().max().item<double>(),
            1e-6 * t.norm().item<double>() * x.norm().item<double>());
  EXPECT_LT(residual.sum(0).abs().max().item<double>(), 1e-8 * t.norm().item<double>());
  // Without row 1, by the normal equations.
  const at::Tensor left = torch::cat({x.slice(0, 0, 1), x.slice(0, 2)}, 0);
  const at::Tensor answers = torch::cat({t.slice(0, 0, 1), t.slice(0, 2)}, 0);
  const at::Tensor centred = left - left.mean(0);
  const at::Tensor system =
      centred.t().mm(centred) + ridge.strength * torch::eye(width, torch::kFloat64);
  const at::Tensor weight = at::linalg_solve(system, centred.t().mm(answers - answers.mean(0)));
  const at::Tensor expected = (x[1] - left.mean(0)).unsqueeze(0).mm(weight) + answers.mean(0);
  // Centring by the other rows is what the leverage with 1/N stands for.
  EXPECT_LT((ridge.held_out[1] - expected[0]).abs().max().item<double>(),
            1e-8 * t.norm().item<double>());
}
INSTANTIATE_TEST_SUITE_P(Shapes,
                         RidgeTest,
                         ::testing::Values(std::pair{40, 5}, std::pair{12, 30}, std::pair{2, 1}),
                         [](const auto& info) {
                           return std::to_string(info.param.first) + "x" +
                                  std::to_string(info.param.second);
                         });

TEST(Ridge, FindsWhatIsLinear) {
  Rng rng(5);
  Draw draw(rng);
  const at::Tensor x = numbers(draw, 200, 6);
  const at::Tensor weight = numbers(draw, 6, 1);
  const Ridge ridge = fit_ridge(x, x.mm(weight) + 4.0);
  EXPECT_LT((ridge.weight.t() - weight).abs().max().item<double>(), 1e-6);
  EXPECT_NEAR(ridge.bias[0].item<double>(), 4.0, 1e-6);
}

TEST(Ridge, TrustsNoiseLittle) {
  Rng rng(6);
  Draw draw(rng);
  const at::Tensor x = numbers(draw, 60, 50);
  const at::Tensor t = numbers(draw, 60, 1);
  const Ridge ridge = fit_ridge(x, t);
  // The mean alone predicts a held-out row with an error of variance; least squares is far worse.
  EXPECT_LT((ridge.held_out - t).square().mean().item<double>(), 1.1 * t.var().item<double>());
}

TEST(Ridge, ConstantFeaturesGiveTheMean) {
  const at::Tensor t = torch::tensor({1.0, 2.0, 6.0}).to(torch::kFloat64).unsqueeze(1);
  const Ridge ridge = fit_ridge(torch::full({3, 4}, 7.0), t);
  EXPECT_EQ(ridge.weight.abs().max().item<double>(), 0.0);
  EXPECT_DOUBLE_EQ(ridge.bias[0].item<double>(), 3.0);
  EXPECT_DOUBLE_EQ(ridge.held_out[2][0].item<double>(), 1.5);
}

TEST(Ridge, RefusesOneRow) {
  EXPECT_EQ(test::error_of([] {
              fit_ridge(torch::zeros({1, 2}), torch::zeros({1, 1}));
            }).code(),
            ErrorCode::kShape);
}

// At the optimum the residuals neither lean nor go with the score.
TEST(Logistic, BalancesResiduals) {
  std::vector<double> scores, targets;
  Rng rng(2);
  for (int i = 0; i < 500; ++i) {
    scores.push_back(3 + 10 * rng.uniform());
    targets.push_back(rng.uniform() < 1 / (1 + std::exp(-(scores.back() - 8))) ? 1 : 0);
  }
  const Logistic curve = fit_logistic(scores, targets);
  double sum = 0, product = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double p = 1 / (1 + std::exp(-(curve.slope * scores[i] + curve.offset)));
    sum += p - targets[i];
    product += (p - targets[i]) * (scores[i] - 8);
  }
  EXPECT_NEAR(sum / 500, 0, 1e-4);
  EXPECT_NEAR(product / 500, 0, 5e-3);  // up to the slope's ridge
  EXPECT_NEAR(curve.slope, 1, 0.2);
}

TEST(Logistic, StaysFiniteWhereTheScoreDividesTheClasses) {
  const std::vector<double> scores{1, 2, 3, 4}, targets{0, 0, 1, 1};
  const Logistic curve = fit_logistic(scores, targets);
  EXPECT_TRUE(std::isfinite(curve.slope));
  EXPECT_GT(curve.slope, 1);
  EXPECT_NEAR(-curve.offset / curve.slope, 2.5, 1e-3);
  const Logistic flat = fit_logistic(std::vector<double>(4, 1e6), targets);
  EXPECT_NEAR(flat.slope * 1e6 + flat.offset, 0, 1e-6);
}

TEST(Temperature, IsHighForScoresThatAreRightAndZeroForNoise) {
  const at::Tensor classes = torch::tensor({0, 1, 2, 0, 1, 2}, torch::kInt64);
  const at::Tensor right = torch::one_hot(classes, 3).to(torch::kFloat64);
  EXPECT_GT(fit_temperature(right, classes), 5);
  EXPECT_EQ(fit_temperature(-right, classes), 0);
  EXPECT_EQ(fit_temperature(torch::zeros({6, 3}, torch::kFloat64), classes), 0);
}

// Heads of every kind over an untrained trunk.
class ProbeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("detente_probe_" + std::to_string(::getpid()) + ".csv");
    std::ofstream file(path_);
    file << "a,b,number,twice,is,kind,same,missing\n";
    Rng rng(8);
    for (int i = 0; i < 300; ++i) {
      const double a = rng.uniform() - 0.5, b = rng.uniform() - 0.5;
      file << a << "," << b << "," << 100 + 30 * a - 20 * b << "," << 0.5 + 0.3 * b << ","
           << (a + 0.1 * (rng.uniform() - 0.5) > 0) << "," << (b > 0.15 ? 2 : b > -0.15) << ",1,"
           << (i == 3 ? "1" : "") << "\n";
    }
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_;
};

TEST_F(ProbeTest, AnswersWhatTheUntrainedFeaturesSay) {
  auto source = data::make_source("table");
  std::vector<TaskHead> heads;
  std::vector<data::TargetColumn> columns;
  const auto add = [&](const char* name, HeadOptions options) {
    heads.push_back({name, options});
    columns.push_back({.task = name, .column = name});
    columns.back().kind = options.kind;
    if (options.kind == HeadKind::kClasses) columns.back().classes = options.classes;
  };
  add("number", {.kind = HeadKind::kRegression, .output = HeadOptions::Output::kStandard});
  add("twice", {.kind = HeadKind::kRegression, .output = HeadOptions::Output::kSigmoid});
  add("is", {.kind = HeadKind::kBinary});
  add("kind", {.kind = HeadKind::kClasses, .classes = 3});
  add("same", {.kind = HeadKind::kRegression, .output = HeadOptions::Output::kRaw});
  add("missing", {.kind = HeadKind::kRegression, .output = HeadOptions::Output::kRaw});
  auto trunk = make_trunk("mlp");
  trunk->prepare(*source);
  data::SourceInput input;
  input.files.train = path_.string();
  input.targets = columns;
  source->read(input, nullptr);
  Model model(std::move(trunk), heads, *source, 1);
  Rng rng(1);
  model.start_from(*source, rng);
  const at::Tensor before = model.head_parameters(4).at(0).detach().clone();
  EXPECT_EQ(probe_heads(model, *source, 64), 4u);
  EXPECT_TRUE(at::equal(model.head_parameters(4).at(0).detach(), before));

  data::RowList rows(300);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const auto answers = model.predict(source->batch(rows, nullptr));
  double off = 0, is_right = 0, kind_right = 0, spread = 0, sigmoid_off = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    const double number = source->targets()[0].values[i];
    off += std::pow(answers[0](i, 0) - number, 2);
    spread += std::pow(number - 100, 2);
    sigmoid_off =
        std::max(sigmoid_off, std::abs(answers[1](i, 0) - source->targets()[1].values[i]));
    is_right += (answers[2](i, 0) > 0.5) == (source->targets()[2].values[i] > 0.5);
    std::size_t best = 0;
    for (std::size_t c = 1; c < 3; ++c) {
      if (answers[3](i, c) > answers[3](i, best)) best = c;
    }
    kind_right += static_cast<double>(best) == source->targets()[3].values[i];
  }
  EXPECT_LT(off / spread, 0.02);
  EXPECT_LT(sigmoid_off, 0.05);
  EXPECT_GT(is_right, 280);
  EXPECT_GT(kind_right, 270);
}

}  // namespace
}  // namespace detente::nn
