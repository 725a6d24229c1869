// SPDX-License-Identifier: Apache-2.0
// Influence against matrices that are formed from single rows, derivatives of closed forms, and models
// trained anew without a row.
#include <detente/appraise/appraise.h>
#include <gmock/gmock.h>
#include <tests/appraise/influence_run.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace detente::appraise {
namespace {

using ::testing::HasSubstr;

// The rows' columns and a 1.
at::Tensor table_of(const data::Source& rows) {
  data::RowList all(rows.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const at::Tensor x = ColumnsTrunk(4).features(rows.batch(all, nullptr), nullptr);
  return torch::cat({x, torch::ones({x.size(0), 1}, torch::kDouble)}, 1);
}

TEST_F(InfluenceTest, IsWhatMatricesOfSingleRowsGive) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  for (const auto& [solver, damping, tolerance] :
       {std::tuple{"direct", 0.01, 1e-9}, {"cg", 0.01, 1e-4}, {"lissa", 1.0, 1e-4}}) {
    const Appraisal found =
        influence({run, corpus}, {.solver = solver, .damping = damping, .iterations = 2000});
    for (const auto& [task, audit] : found.audit["tasks"].items()) {
      EXPECT_TRUE(audit["reached"].get<bool>()) << solver;
      EXPECT_LE(audit["residual"].get<double>(), 1e-6) << solver;
    }
    expect_same(found, formed(run, corpus, damping), tolerance);
  }
}

TEST_F(InfluenceTest, BatchNormalisationIsHeldAndSaid) {
  const LoadedRun run = standing_on(std::make_unique<NormTrunk>());
  const Corpus corpus = corpus_of(run);
  const Appraisal found = influence({run, corpus}, {.solver = "direct", .damping = 0.02});
  expect_same(found, formed(run, corpus, 0.02), 1e-8);
  EXPECT_THAT(found.notes, testing::Contains(HasSubstr("running statistics")));
  const Appraisal factors = influence({run, corpus}, {.solver = "ekfac"});
  EXPECT_THAT(factors.notes, testing::Contains(HasSubstr("norm.weight")));
  EXPECT_EQ(factors.audit["left_out"].size(), 2U);
}

// d/dε of the judged loss when row i weighs 1/n + ε and the model is trained to the end, by closed
// forms at ε = ±h.
TEST_F(InfluenceTest, OfRidgeRegressionIsTheDerivativeOfTheClosedForm) {
  LoadedRun run = standing_on(std::make_unique<ColumnsTrunk>(4));
  const Corpus corpus = corpus_of(run);
  const double penalty = 0.2;
  const at::Tensor x = table_of(*corpus.train);
  const at::Tensor y = torch::tensor(corpus.train->targets()[1].values, torch::kDouble);
  const at::Tensor known = torch::isnan(y).logical_not().to(torch::kDouble);
  const at::Tensor filled = torch::nan_to_num(y, 0.0);
  const at::Tensor dev = table_of(*corpus.dev);
  const at::Tensor dev_y = torch::tensor(corpus.dev->targets()[1].values, torch::kDouble);
  const double n = known.sum().item<double>();
  // Σ weights (xθ − y)² + penalty/2 ‖θ‖².
  const auto fit = [&](const at::Tensor& weights) {
    const at::Tensor scaled = x * weights.unsqueeze(1);
    const at::Tensor normal =
        2 * x.t().mm(scaled) + penalty * torch::eye(x.size(1), torch::kDouble);
    return torch::linalg_solve(normal, 2 * scaled.t().mv(filled));
  };
  const auto judged = [&](const at::Tensor& theta) {
    return (dev.mv(theta) - dev_y).square().mean().item<double>();
  };
  const at::Tensor theta = fit(known / n);
  run.model->heads().set_linear(1, theta.narrow(0, 0, 4).view({1, 4}), theta.narrow(0, 4, 1));
  for (const char* solver : {"direct", "cg", "ekfac"}) {
    const Appraisal found = influence({run, corpus}, {.solver = solver, .damping = penalty});
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      const double h = 1e-5;
      at::Tensor more = (known / n).clone();
      at::Tensor less = more.clone();
      more[i] += h * known[i];
      less[i] -= h * known[i];
      const double slope = (judged(fit(more)) - judged(fit(less))) / (2 * h);
      EXPECT_NEAR(found.table.series[3].values[static_cast<std::size_t>(i)],
                  -slope / n,
                  2e-6 * (std::abs(slope / n) + 0.01))
          << solver << ", row " << i;
    }
    // The tasks have nothing in common.
    for (const std::size_t other : {1U, 2U}) {
      for (const double value : found.table.series[other].values) EXPECT_EQ(value, 0.0);
    }
  }
}

TEST_F(InfluenceTest, IsTheLossWithoutTheRowOfLogisticRegressionTrainedAnew) {
  LoadedRun run = standing_on(std::make_unique<ColumnsTrunk>(4));
  const Corpus corpus = corpus_of(run);
  const double penalty = 0.05;
  const at::Tensor x = table_of(*corpus.train);
  const at::Tensor y = torch::tensor(corpus.train->targets()[0].values, torch::kDouble);
  const at::Tensor dev = table_of(*corpus.dev);
  const at::Tensor dev_y = torch::tensor(corpus.dev->targets()[0].values, torch::kDouble);
  ASSERT_EQ(x.size(0), 100);
  // Newton's method on the mean loss of the rows that `keep` has as 1, plus penalty/2 ‖θ‖².
  const auto fit = [&](const at::Tensor& keep) {
    at::Tensor theta = torch::zeros({5}, torch::kDouble);
    const at::Tensor weights = keep / keep.sum();
    for (int step = 0; step < 30; ++step) {
      const at::Tensor p = torch::sigmoid(x.mv(theta));
      const at::Tensor slope = x.t().mv(weights * (p - y)) + penalty * theta;
      const at::Tensor curvature = x.t().mm(x * (weights * p * (1 - p)).unsqueeze(1)) +
                                   penalty * torch::eye(5, torch::kDouble);
      theta = theta - torch::linalg_solve(curvature, slope);
    }
    return theta;
  };
  const auto judged = [&](const at::Tensor& theta) {
    return torch::binary_cross_entropy_with_logits(dev.mv(theta), dev_y).item<double>();
  };
  const at::Tensor all = torch::ones({100}, torch::kDouble);
  const at::Tensor theta = fit(all);
  run.model->heads().set_linear(0, theta.narrow(0, 0, 4).view({1, 4}), theta.narrow(0, 4, 1));
  const double whole = judged(theta);
  std::vector<double> actual;
  for (std::int64_t i = 0; i < 100; ++i) {
    at::Tensor keep = all.clone();
    keep[i] = 0;
    // A helpful row is one without which the loss is higher.
    actual.push_back(judged(fit(keep)) - whole);
  }
  for (const char* solver : {"direct", "cg", "lissa", "ekfac"}) {
    const Appraisal found = influence({run, corpus}, {.solver = solver, .damping = penalty});
    const std::vector<double>& values = found.table.series[0].values;
    EXPECT_GE(pearson(values, actual), 0.95) << solver;
    // Not only the order but the size.
    const at::Tensor v = torch::tensor(values, torch::kDouble);
    const at::Tensor a = torch::tensor(actual, torch::kDouble);
    EXPECT_NEAR((v.dot(a) / v.dot(v)).item<double>(), 1.0, 0.1) << solver;
    RecordProperty(fmt::format("pearson_{}", solver), fmt::format("{}", pearson(values, actual)));
  }
}

TEST_F(InfluenceTest, NothingToImproveIsWorthNothing) {
  LoadedRun run = standing_on(std::make_unique<ColumnsTrunk>(4));
  const Corpus corpus = corpus_of(run);
  // At a half everywhere the binary loss is not flat; at a loss without a slope it is.
  run.recipe.tasks[1].weight = 0;
  for (const char* solver : {"direct", "cg", "lissa", "ekfac"}) {
    const Appraisal found = influence({run, corpus}, {.solver = solver, .damping = 0.1});
    for (const std::size_t judged_by_value : {1U, 3U}) {
      for (const double value : found.table.series[judged_by_value].values) {
        EXPECT_EQ(value, 0.0) << solver;
      }
    }
    if (std::string(solver) != "ekfac") {
      EXPECT_EQ(found.audit["tasks"]["value"]["residual"], 0.0) << solver;
      EXPECT_TRUE(found.audit["tasks"]["value"]["reached"].get<bool>()) << solver;
    }
  }
}

TEST_F(InfluenceTest, WhatHasNoValidationLabelsJudgesNothing) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  // A file without any target of a task is refused when it is read.
  auto& targets = const_cast<std::vector<double>&>(corpus.dev->targets()[1].values);
  std::fill(targets.begin(), targets.end(), std::nan(""));
  const Appraisal found = influence({run, corpus}, {});
  ASSERT_EQ(found.table.series.size(), 2U);
  EXPECT_EQ(found.table.series[1].task_trained, "value");
  EXPECT_EQ(found.table.series[1].task_judged, "side");
  EXPECT_THAT(found.notes, testing::Contains(HasSubstr("nothing is judged by: value")));
}

TEST_F(InfluenceTest, WhatIsNotReachedIsSaid) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal found = influence({run, corpus}, {.damping = 1e-4, .iterations = 2});
  EXPECT_FALSE(found.audit["tasks"]["side"]["reached"].get<bool>());
  EXPECT_GT(found.audit["tasks"]["side"]["residual"].get<double>(), 1e-6);
  EXPECT_THAT(found.notes, testing::Contains(HasSubstr("side: residual")));
  EXPECT_THAT(found.notes, testing::Contains(HasSubstr("--iterations")));
}

TEST_F(InfluenceTest, MistakesHaveWords) {
  LoadedRun run = standing_on(std::make_unique<ColumnsTrunk>(6));
  const Corpus corpus = corpus_of(run);
  const auto said = [&](const Options& options) {
    return std::string(train::error_of([&] { influence({run, corpus}, options); }).what());
  };
  EXPECT_THAT(said({.solver = "gc"}), HasSubstr("cg"));
  EXPECT_THAT(said({.damping = -1}), HasSubstr("at least 0"));
  EXPECT_THAT(said({.damping = std::nan("")}), HasSubstr("at least 0"));
  // Two columns are zeros, so without damping there are directions of no curvature.
  EXPECT_THAT(said({.solver = "direct", .damping = 0}), HasSubstr("larger damping"));
  EXPECT_THAT(said({.solver = "ekfac", .damping = 0}), HasSubstr("--damping"));
  // For conjugate gradients they are not there: no gradient has a part in them.
  EXPECT_NO_THROW(influence({run, corpus}, {.solver = "cg", .damping = 0}));

  run.model->heads().set_linear(
      0, torch::full({1, 6}, std::nan(""), torch::kDouble), torch::zeros({1}, torch::kDouble));
  for (const std::string& solver : influence_solvers()) {
    EXPECT_THAT(said({.solver = solver}), HasSubstr("task side has the loss nan")) << solver;
  }
  LoadedRun wide = standing_on(std::make_unique<ColumnsTrunk>(2000), {"train.epochs=1"});
  EXPECT_THAT(std::string(train::error_of([&] {
                            influence({wide, corpus}, {.solver = "direct"});
                          }).what()),
              HasSubstr("has 4002 and 4000 are the most"));
}

TEST_F(InfluenceTest, StoppingLeavesNumbersOrNone) {
  const LoadedRun run = trained();
  const Corpus corpus = corpus_of(run);
  const Appraisal early = influence(
      {run, corpus},
      {.damping = 1e-6, .progress = [](std::size_t done, std::size_t) { return done < 2; }});
  EXPECT_FALSE(early.audit["tasks"]["side"]["reached"].get<bool>());
  for (const double value : early.table.series[0].values) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace detente::appraise
