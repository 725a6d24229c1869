// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/rlw.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Rlw, AveragesToEqualWeights) {
  // 20000 draws; the bound is six standard errors of a weight (below 0.5 each).
  const auto method = make_with("rlw");
  Rng rng(1);
  const int draws = 20000;
  std::vector<double> mean(3, 0.0);
  for (int i = 0; i < draws; ++i) {
    const auto weights = weigh_losses(*method, {1, 1, 1}, 1, &rng);
    for (std::size_t t = 0; t < 3; ++t) {
      EXPECT_GT(weights[t], 0.0);
      mean[t] += weights[t] / draws;
    }
  }
  for (const double m : mean) EXPECT_NEAR(m, 1.0 / 3, 6 * 0.5 / std::sqrt(draws));
}

TEST(Rlw, IsTheSoftmaxOfNormalNumbers) {
  const auto method = make_with("rlw");
  Rng a(5);
  Rng b(5);
  const auto weights = weigh_losses(*method, {1, 1}, 1, &a);
  const double x = b.normal();
  const double y = b.normal();
  EXPECT_NEAR(weights[0], 1 / (1 + std::exp(y - x)), kRounding);
}

TEST(Rlw, DemandsAGenerator) {
  const auto method = make_with("rlw");
  EXPECT_THROW(weigh_losses(*method, {1, 2}), Error);
}

}  // namespace
}  // namespace detente::balance
