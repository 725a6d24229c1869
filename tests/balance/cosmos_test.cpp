// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cosmos.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// ⟨r, L⟩ − λ cos(r, L)
double penalised(const std::vector<double>& r, const std::vector<double>& losses, double lambda) {
  return dot(r, losses) - lambda * cosine(r, losses);
}

std::vector<double> next_preference(const Method& method) {
  auto r = method.state().at("log_draws").get<std::vector<double>>();
  double sum = 0;
  for (double& x : r) sum += x = std::exp(x);
  for (double& x : r) x /= sum;
  return r;
}

TEST(Cosmos, IsTheGradientOfItsObjective) {
  const auto method = make_with("cosmos", {{"lambda", "1.5"}, {"preference", "[1, 3, 4]"}});
  const std::vector<double> losses = {1.0, 0.7, 2.0};
  expect_gradient(weigh_losses(*method, losses), losses, [](const std::vector<double>& l) {
    return penalised({0.125, 0.375, 0.5}, l, 1.5);
  });
}

TEST(Cosmos, UsesThePreferenceAnnouncedOneStepAhead) {
  const auto method = make_with("cosmos", {{"lambda", "0"}});
  Rng rng(8);
  std::vector<double> announced(3, 1.0 / 3);
  for (int step = 0; step < 20; ++step) {
    const auto w = weigh_losses(*method, {1, 2, 3}, 1, &rng);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(w[i], announced[i], kRounding) << step;
    announced = next_preference(*method);
  }
}

TEST(Cosmos, DrawsFromTheDirichletDistribution) {
  // 20000 draws; the bounds are six standard errors (a share has a deviation below 0.5, its square
  // distance from the mean one below 1).
  const auto method = make_with("cosmos", {{"lambda", "0"}, {"alpha", "[0.2, 1, 2.8]"}});
  Rng rng(9);
  const int draws = 20000;
  const std::vector<double> share = {0.05, 0.25, 0.7};
  std::vector<double> mean(3, 0.0), variance(3, 0.0);
  for (int i = 0; i < draws; ++i) {
    weigh_losses(*method, {1, 1, 1}, 1, &rng);
    const auto r = next_preference(*method);
    for (int t = 0; t < 3; ++t) {
      mean[t] += r[t] / draws;
      variance[t] += (r[t] - share[t]) * (r[t] - share[t]) / draws;
    }
  }
  for (int t = 0; t < 3; ++t) {
    EXPECT_NEAR(mean[t], share[t], 6 * 0.5 / std::sqrt(draws));
    // The concentrations sum to 4.
    EXPECT_NEAR(variance[t], share[t] * (1 - share[t]) / 5, 6 / std::sqrt(draws));
  }
}

TEST(Cosmos, DrawsExtremePreferencesWithoutUnderflow) {
  const auto method = make_with("cosmos", {{"alpha", "1e-4"}});
  Rng rng(10);
  for (int step = 0; step < 200; ++step) {
    for (const double w : weigh_losses(*method, {1, 2, 3}, 1, &rng)) EXPECT_TRUE(std::isfinite(w));
  }
}

TEST(Cosmos, LeavesTheWeightedSumOfTheLosses) {
  // The cosine does not change along L.
  const auto method = make_with("cosmos", {{"lambda", "7"}, {"preference", "[2, 1]"}});
  Rng rng(11);
  for (int draw = 0; draw < 30; ++draw) {
    const std::vector<double> losses = {rng.uniform(), rng.uniform()};
    EXPECT_NEAR(
        dot(weigh_losses(*method, losses), losses), (2 * losses[0] + losses[1]) / 3, kAccumulated);
  }
}

TEST(Cosmos, FollowsThePreferenceAloneForLargeLossesAndForNone) {
  const auto method = make_with("cosmos", {{"preference", "[3, 1]"}});
  const auto large = weigh_losses(*method, {1e200, 5e200});
  EXPECT_NEAR(large[0], 0.75, kRounding);
  Result result;
  const std::vector<double> none = {0, 0};
  method->solve({.tasks = 2, .losses = none}, result);
  EXPECT_EQ(result.weights, (std::vector<double>{0.75, 0.25}));
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
}

TEST(Cosmos, KeepsNoStateWithAFixedPreference) {
  const auto method = make_with("cosmos", {{"preference", "[3, 1]"}});
  weigh_losses(*method, {1, 2});
  EXPECT_TRUE(method->state().is_null());
}

TEST(Cosmos, RefusesWhatItCannotDraw) {
  EXPECT_THROW(weigh_losses(*make_with("cosmos"), {1, 2}), Error);  // no generator
  Rng rng;
  const auto two = make_with("cosmos", {{"alpha", "[1, 2]"}});
  EXPECT_THROW(weigh_losses(*two, {1, 2, 3}, 1, &rng), Error);
  EXPECT_THROW(make_with("cosmos", {{"alpha", "[0, 1]"}}), Error);
  EXPECT_THROW(weigh_losses(*make_with("cosmos", {{"preference", "[0, 0]"}}), {1, 2}), Error);
}

}  // namespace
}  // namespace detente::balance
