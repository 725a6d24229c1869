// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/go4align.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double spread(const std::vector<double>& values, const std::vector<double>& centres) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += (values[i] - centres[i]) * (values[i] - centres[i]);
  }
  return sum;
}

// The least spread over all ways to put the values into at most `groups` groups.
double least_spread(const std::vector<double>& values, int groups) {
  const int k = static_cast<int>(values.size());
  double best = std::numeric_limits<double>::infinity();
  std::vector<int> group(k, 0);
  for (;;) {
    std::vector<double> sum(groups, 0.0), count(groups, 0.0), centres(k);
    for (int i = 0; i < k; ++i) {
      sum[group[i]] += values[i];
      count[group[i]] += 1;
    }
    for (int i = 0; i < k; ++i) centres[i] = sum[group[i]] / count[group[i]];
    best = std::min(best, spread(values, centres));
    int i = 0;
    while (i < k && ++group[i] == groups) group[i++] = 0;
    if (i == k) return best;
  }
}

TEST(Go4align, ScoresTheTasksWhenEachIsItsOwnGroup) {
  const auto method = make_with("go4align", {{"groups", "9"}, {"lr", "0.05"}});
  std::vector<double> q(3, 1.0 / 3);
  for (int step = 0; step < 20; ++step) {
    const std::vector<double> losses = {1.5 + std::sin(step), 4.0, 0.3};
    double total = 0, sum = 0;
    for (int i = 0; i < 3; ++i) sum += q[i] *= std::exp(-0.05 * losses[i]);
    for (int i = 0; i < 3; ++i) {
      q[i] /= sum;
      total += losses[i];
    }
    const auto w = weigh_losses(*method, losses);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(w[i], total / losses[i] * q[i], kAccumulated) << step;
  }
}

TEST(Go4align, GivesOneGroupTheMean) {
  const auto one = make_with("go4align", {{"groups", "1"}});
  const auto each = make_with("go4align", {{"groups", "3"}});
  const auto v = weigh_losses(*each, {1, 5, 0.2});
  const auto w = weigh_losses(*one, {1, 5, 0.2});
  for (const double x : w) EXPECT_NEAR(x, (v[0] + v[1] + v[2]) / 3, kRounding * v[2]);
}

TEST(Go4align, GroupsWithTheLeastSpread) {
  Rng rng(12);
  for (int draw = 0; draw < 40; ++draw) {
    std::vector<double> losses(6);
    for (double& x : losses) x = std::exp(3 * rng.normal());
    const auto v = weigh_losses(*make_with("go4align", {{"groups", "6"}}), losses);
    for (const int groups : {2, 3, 4}) {
      const auto method = make_with("go4align", {{"groups", std::to_string(groups)}});
      const double best = least_spread(v, groups);
      const auto w = weigh_losses(*method, losses);
      EXPECT_NEAR(spread(v, w), best, kCertificate * best + kRounding) << groups;
      EXPECT_LE(std::set<double>(w.begin(), w.end()).size(), static_cast<std::size_t>(groups));
    }
  }
}

TEST(Go4align, GivesTasksInTheSameConditionTheSameWeight) {
  const auto w = weigh_losses(*make_with("go4align"), {1.0, 1.1, 9.0, 10.0});
  EXPECT_EQ(w[0], w[1]);
  EXPECT_EQ(w[2], w[3]);
  EXPECT_GT(w[0], w[2]);
}

TEST(Go4align, IgnoresTheUnitOfEqualLosses) {
  for (const double loss : {1e-3, 1.0, 1e4}) {
    for (const double w : weigh_losses(*make_with("go4align"), {loss, loss, loss}, 5)) {
      EXPECT_NEAR(w, 1.0, kRounding);
    }
  }
}

TEST(Go4align, SurvivesLargeLossesOverManySteps) {
  // The scores themselves would underflow.
  const auto method = make_with("go4align", {{"lr", "1"}});
  for (const double w : weigh_losses(*method, {1e5, 1e5, 2e5}, 100)) {
    EXPECT_TRUE(std::isfinite(w));
  }
}

TEST(Go4align, RefusesLossesThatAreNotPositive) {
  expect_losses_refused("go4align", {1, 0}, ErrorCode::kNumeric, "task 1");
}

}  // namespace
}  // namespace detente::balance
