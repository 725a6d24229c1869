// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/config.h>
#include <detente/balance/imtl_g.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(ImtlG, MakesAllProjectionsEqual) {
  Rng rng(801);
  for (const std::size_t k : {2, 3, 5, 10}) {
    const Matrix gram = gram_of(problem_of(Family::kAligned, k, rng));
    const auto weights = imtl_g(gram).weights;
    const auto inner = times(gram, weights);
    double sum = 0;
    for (std::size_t i = 0; i < k; ++i) {
      sum += weights[i];
      EXPECT_NEAR(inner[i] / std::sqrt(gram(i, i)), inner[0] / std::sqrt(gram(0, 0)), kCertificate);
    }
    EXPECT_NEAR(sum, 1.0, kAccumulated);
  }
}

TEST(ImtlG, InvertsTheNormsOfTwoTasks) {
  Rng rng(802);
  const Matrix gram = gram_of(random_jacobian(2, 4, rng));
  const auto weights = imtl_g(gram).weights;
  EXPECT_NEAR(weights[0] / weights[1], std::sqrt(gram(1, 1) / gram(0, 0)), kAccumulated);
}

TEST(ImtlG, DoesNotAscendOnThePublishedCounterexample) {
  // The published formula gives w = (-0.0848, -0.0848, 1.1695) and G w < 0 for every task.
  const Matrix gram = gram_of(matrix_of({{1, 0, 0}, {0, 1, 0}, {0.07, 0.07, 0.01}}));
  const Result result = imtl_g(gram);
  EXPECT_EQ(result.stop, StopReason::kDegenerate);
  EXPECT_FALSE(result.message.empty());
  const auto expected = config(gram).weights;
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(result.weights[i], expected[i], kAccumulated * std::abs(expected[i]));
  }
  for (const double inner : times(gram, result.weights)) EXPECT_GT(inner, 0.0);
}

TEST(ImtlG, SaysWhenDependentGradientsBreakItsPromise) {
  // Opposite rows have no equal projections: +1, -1, +1 at best.
  for (const Matrix& jacobian : {matrix_of({{1, 0}, {-1, 0}, {.5, 0}}),
                                 matrix_of({{1, 0}, {-2, 0}, {0, 1}}),
                                 matrix_of({{1, 0}, {0, 1}, {1, 1}})}) {
    const Matrix gram = gram_of(jacobian);
    for (const char* name : {"imtl_g", "imtl", "config", "aligned_mtl"}) {
      const auto method = make_method(name);
      const std::vector<double> losses = {1, 1, 1};
      Result result;
      method->solve({.tasks = 3, .gram = gram, .losses = losses}, result);
      EXPECT_EQ(result.stop, StopReason::kDegenerate) << name;
      EXPECT_FALSE(result.message.empty()) << name;
    }
  }
  // Equal rows depend on each other, too, and have equal projections.
  const Matrix equal = gram_of(matrix_of({{1, 2}, {1, 2}, {1, 2}}));
  EXPECT_NE(imtl_g(equal).stop, StopReason::kDegenerate);
}

}  // namespace
}  // namespace detente::balance
