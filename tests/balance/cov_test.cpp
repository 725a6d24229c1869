// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cov.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

// Mean and standard deviation in two passes.
double variation(const std::vector<double>& ratios) {
  double mean = 0, variance = 0;
  for (const double x : ratios) mean += x / static_cast<double>(ratios.size());
  for (const double x : ratios) {
    variance += (x - mean) * (x - mean) / static_cast<double>(ratios.size());
  }
  return std::sqrt(variance) / mean;
}

TEST(Cov, WeighsByTheVariationOfTheLossRatios) {
  const auto method = make_with("cov");
  Rng rng(13);
  std::vector<double> ratios[2];
  double sums[2] = {0, 0};
  for (int step = 0; step < 50; ++step) {
    const std::vector<double> losses = {0.5 + rng.uniform(), 100 + 3 * rng.uniform()};
    const auto w = weigh_losses(*method, losses);
    if (step < 2) {
      EXPECT_EQ(w, std::vector<double>(2, 0.5)) << step;
    } else {
      const double a = variation(ratios[0]);
      const double b = variation(ratios[1]);
      EXPECT_NEAR(w[0], a / (a + b), kAccumulated) << step;
      EXPECT_NEAR(w[1], b / (a + b), kAccumulated) << step;
    }
    for (int i = 0; i < 2; ++i) {
      ratios[i].push_back(step == 0 ? 1.0 : losses[i] / (sums[i] / step));
      sums[i] += losses[i];
    }
  }
}

TEST(Cov, IgnoresTheUnitOfALoss) {
  const auto a = make_with("cov");
  const auto b = make_with("cov");
  Rng rng(14);
  for (int step = 0; step < 20; ++step) {
    const double x = rng.uniform(), y = rng.uniform();
    EXPECT_NEAR(
        weigh_losses(*a, {x, y})[0], weigh_losses(*b, {x * 1e-100, y * 1e90})[0], kAccumulated);
  }
}

TEST(Cov, GivesLossesAtRestEqualWeights) {
  EXPECT_EQ(weigh_losses(*make_with("cov"), {0.1, 7, 0}, 30), std::vector<double>(3, 1.0 / 3));
}

TEST(Cov, GivesALossAtRestNothingBesideOneThatFalls) {
  const auto method = make_with("cov");
  const auto floor = make_with("cov", {{"epsilon", "1"}});
  for (int step = 0; step < 10; ++step) {
    weigh_losses(*method, {3, 1.0 / (1 + step)});
    weigh_losses(*floor, {3, 1.0 / (1 + step)});
  }
  EXPECT_EQ(weigh_losses(*method, {3, 0.1}), (std::vector<double>{0, 1}));
  EXPECT_GT(weigh_losses(*floor, {3, 0.1})[0], 0.1);
}

TEST(Cov, WaitsForTwoStepsOfEveryTaskPresent) {
  const auto method = make_with("cov");
  const std::vector<std::size_t> ids = {0, 1};
  const std::vector<double> losses[] = {{1, 2}, {0.5, 1.9}, {0.3, 2.2}};
  Result result;
  for (const auto& pair : losses) {
    method->solve({.tasks = 2, .losses = pair, .ids = ids, .all_tasks = 3}, result);
  }
  EXPECT_NE(result.weights[0], 0.5);
  EXPECT_EQ(weigh_losses(*method, {0.2, 2, 1}), std::vector<double>(3, 1.0 / 3));
}

TEST(Cov, RefusesNegativeLosses) {
  expect_losses_refused("cov", {1, -1}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
