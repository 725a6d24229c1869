// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/gradnorm.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// A Gram matrix of orthogonal gradients with these norms.
Matrix norms(const std::vector<double>& n) {
  Matrix gram(n.size(), n.size());
  for (std::size_t i = 0; i < n.size(); ++i) gram(i, i) = n[i] * n[i];
  return gram;
}

TEST(Gradnorm, KeepsTheSumOfTheWeights) {
  Rng rng(941);
  for (const char* parametrisation : {"raw", "softmax"}) {
    const auto method =
        make_with("gradnorm", {{"parametrisation", parametrisation}, {"lr", "0.3"}});
    for (int i = 0; i < 50; ++i) {
      const Matrix gram = gram_of(problem_of(Family::kBadlyScaled, 5, rng));
      const auto w = solve_gram(*method, gram, {1, rng.uniform(), 3, rng.uniform(), 2}).weights;
      EXPECT_NEAR(std::accumulate(w.begin(), w.end(), 0.0), 5.0, kAccumulated);
      for (const double x : w) EXPECT_GT(x, 0.0);
    }
  }
}

TEST(Gradnorm, MakesWeightedGradientsEquallyLongWhenAlphaIsZero) {
  for (const char* parametrisation : {"raw", "softmax"}) {
    const auto method = make_with(
        "gradnorm", {{"alpha", "0"}, {"lr", "0.001"}, {"parametrisation", parametrisation}});
    const std::vector<double> n = {1, 2, 5};
    std::vector<double> w;
    for (int i = 0; i < 20000; ++i) w = solve_gram(*method, norms(n), {1, 2, 3}).weights;
    const double inverse = 1 + 0.5 + 0.2;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(w[i], 3 / n[i] / inverse, 0.01) << parametrisation;  // within a few lr
    }
  }
}

TEST(Gradnorm, TakesAdamsFirstStepAgainstTheSign) {
  // G = 1, 2, 3 with mean 2: the first must grow, the last shrink, and the second has arrived.
  const auto raw = make_with("gradnorm", {{"lr", "0.1"}});
  EXPECT_EQ(solve_gram(*raw, norms({1, 2, 3}), {1, 1, 1}).weights, (std::vector<double>{1, 1, 1}));
  const auto w = solve_gram(*raw, norms({1, 2, 3}), {1, 1, 1}).weights;
  EXPECT_NEAR(w[0], 1.1, kReference);
  EXPECT_NEAR(w[1], 1.0, kReference);
  EXPECT_NEAR(w[2], 0.9, kReference);

  const auto soft = make_with("gradnorm", {{"lr", "0.1"}, {"parametrisation", "softmax"}});
  solve_gram(*soft, norms({1, 3}), {1, 1});
  const auto s = solve_gram(*soft, norms({1, 3}), {1, 1}).weights;
  const double sum = std::exp(0.1) + std::exp(-0.1);
  EXPECT_NEAR(s[0], 2 * std::exp(0.1) / sum, kReference);
  EXPECT_NEAR(s[1], 2 * std::exp(-0.1) / sum, kReference);
}

TEST(Gradnorm, HelpsTheTaskThatLags) {
  const auto method = make_gradnorm();
  solve_gram(*method, norms({1, 1}), {10, 0.1});
  for (int i = 0; i < 5; ++i)
    solve_gram(*method, norms({1, 1}), {9, 0.01});  // the second is faster
  const auto w = solve_gram(*method, norms({1, 1}), {9, 0.01}).weights;
  EXPECT_GT(w[0], 1.05);
  EXPECT_LT(w[1], 0.95);
}

TEST(Gradnorm, StaysAtOneForEqualGradientsAndRates) {
  Rng rng(942);
  for (const std::size_t k : {1, 3, 64}) {
    const auto method = make_gradnorm();
    for (int i = 0; i < 20; ++i) {
      const double size = std::pow(10.0, 12 * rng.uniform() - 6);
      std::vector<double> losses(k);
      for (std::size_t t = 0; t < k; ++t) losses[t] = static_cast<double>(t + 1) / (i + 1);
      const auto w = solve_gram(*method, norms(std::vector<double>(k, size)), losses).weights;
      for (const double x : w) EXPECT_NEAR(x, 1.0, kAccumulated);
    }
  }
}

TEST(Gradnorm, DependsOnTheDiagonalAndOnRatiosOfLosses) {
  Rng rng(943);
  const auto a = make_gradnorm();
  const auto b = make_gradnorm();
  for (int i = 0; i < 10; ++i) {
    const Matrix gram = gram_of(problem_of(Family::kGaussian, 4, rng));
    std::vector<double> n(4);
    for (std::size_t t = 0; t < 4; ++t) n[t] = 1e4 * std::sqrt(gram(t, t));
    const std::vector<double> losses = {1 + rng.uniform(), 2, 3 * rng.uniform(), 4};
    const std::vector<double> other = {100 * losses[0], losses[1], 0.01 * losses[2], losses[3]};
    const auto w = solve_gram(*a, gram, losses).weights;
    const auto v = solve_gram(*b, norms(n), other).weights;
    for (std::size_t t = 0; t < 4; ++t) EXPECT_NEAR(w[t], v[t], kReference);
  }
}

TEST(Gradnorm, ComparesWithTheInitialLossesGiven) {
  const auto given = make_with("gradnorm", {{"initial_losses", "2,8"}});
  const auto seen = make_gradnorm();
  solve_gram(*seen, norms({1, 2}), {2, 8});
  solve_gram(*given, norms({1, 2}), {2, 8});
  EXPECT_EQ(seen->state(), given->state());
  const auto later = make_with("gradnorm", {{"initial_losses", "2,8"}});
  solve_gram(*later, norms({1, 2}), {1, 0});
  EXPECT_EQ(later->state().at("first_losses"), (Json{2, 8}));
}

TEST(Gradnorm, LeavesTheStateOfAbsentTasksAlone) {
  for (const char* parametrisation : {"raw", "softmax"}) {
    const auto method = make_with("gradnorm", {{"parametrisation", parametrisation}});
    solve_gram(*method, norms({1, 2, 3}), {1, 2, 3});
    const Json before = method->state();
    const std::vector<std::size_t> ids = {0, 2};
    const std::vector<double> losses = {0.5, 6};
    const Matrix gram = norms({4, 1});
    Result result;
    method->solve({.tasks = 2, .gram = gram, .losses = losses, .ids = ids, .all_tasks = 3}, result);
    const Json after = method->state();
    for (const char* key : {"values", "first", "second", "steps", "first_losses"}) {
      EXPECT_EQ(before.at(key).at(1), after.at(key).at(1)) << key;
    }
    EXPECT_NE(before.at("values").at(0), after.at("values").at(0));
    if (std::string(parametrisation) == "raw") {
      const auto values = after.at("values").get<std::vector<double>>();
      EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), 3.0, kRounding);
    }
  }
}

TEST(Gradnorm, RemembersTheFirstLossOfATaskThatComesLater) {
  const auto method = make_gradnorm();
  const std::vector<std::size_t> ids = {1};
  const std::vector<double> losses = {7};
  const Matrix gram = norms({1});
  Result result;
  method->solve({.tasks = 1, .gram = gram, .losses = losses, .ids = ids, .all_tasks = 2}, result);
  solve_gram(*method, norms({1, 1}), {3, 5});
  EXPECT_EQ(method->state().at("first_losses"), (Json{3, 7}));
}

TEST(Gradnorm, RefusesLossesItCannotCompare) {
  for (const std::vector<double>& losses : {std::vector<double>{1, 0}, {1, -1}}) {
    const auto method = make_gradnorm();
    try {
      solve_gram(*method, norms({1, 1}), losses);
      ADD_FAILURE() << "a loss of " << losses[1] << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
      EXPECT_NE(std::string(error.what()).find("task 1"), std::string::npos) << error.what();
    }
  }
}

TEST(Gradnorm, DoesNotMoveWithoutGradients) {
  const auto method = make_gradnorm();
  EXPECT_EQ(solve_gram(*method, norms({0, 0}), {1, 2}).stop, StopReason::kDegenerate);
  EXPECT_EQ(solve_gram(*method, norms({0, 0}), {1, 2}).weights, (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace detente::balance
